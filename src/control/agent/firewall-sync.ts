/**
 * Keeps the host's firewall rules as the store has them. What a request has changed is told at once, by the rules' ids, and read from the
 * store when it is told, so that the order in which changes were made does not matter; after time apart, everything is compared.
 */
import type { Logger } from '../../base/logger.ts';
import { CenoteError, messageChain } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import { rulesPerChange } from '../../model/firewall/wire.ts';
import type { AppliedRule } from '../../model/firewall/wire.ts';
import { systemContext as system } from '../../store/context.ts';
import { firewallRuleEnabled } from '../../store/firewall-rule.ts';
import type { StoredRule } from '../../store/firewall-rule.ts';
import type { Store } from '../../store/store.ts';
import { Wake, wakeOrTimeout } from '../wake.ts';

export interface FirewallSyncOptions {
  store: Store;
  agent: AgentClient;
  logger: Logger;
  /** Notified when the agent can be reached again. */
  reachable: Wake;
  /** Whether the tie to the agent holds. */
  inStep: () => boolean;
}

/** How long a request waits for the host to have its change. */
const patienceMs = 5000;
const retryMs = 1000;

export class FirewallSync implements AsyncDisposable {
  readonly #options: FirewallSyncOptions;
  readonly #stopping = new AbortController();
  /** Rules that the host may not have as they are, and how often each has changed. */
  readonly #dirty = new Map<string, number>();
  /** Rules that the host would not take: shown as not applied, and told again when they or the tie to the host change. */
  readonly #refused = new Set<string>();
  readonly #changed = new Wake();
  /** Notified when a round has ended, whatever came of it. */
  readonly #settled = new Wake();
  /** Of the agent as it was told last; null: it has to be compared. */
  #revision: number | null = null;
  #working: Promise<void> | undefined;

  constructor(options: FirewallSyncOptions) {
    this.#options = options;
  }

  start(): void {
    this.#working = this.#work();
  }

  isApplied(id: string): boolean {
    return this.#revision !== null && this.#options.inStep() && !this.#dirty.has(id) && !this.#refused.has(id);
  }

  /** After the transaction that changed it. Resolves when the host has it, or cannot have it now; then it is told as soon as it can be. */
  async changed(id: string): Promise<void> {
    this.#touch(id);
    const { signal } = this.#stopping;
    const late = performance.now() + patienceMs;
    this.#changed.notify();
    while (this.#dirty.has(id) && this.#options.inStep() && !signal.aborted && performance.now() < late)
      await wakeOrTimeout(this.#settled.next(), late - performance.now(), signal);
  }

  #touch(id: string): void {
    this.#dirty.set(id, (this.#dirty.get(id) ?? 0) + 1);
    this.#refused.delete(id);
  }

  async #work(): Promise<void> {
    const { reachable, logger, inStep } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // Both taken before looking, so that nothing falls in between.
      const back = reachable.next().then(() => {
        this.#revision = null;
      });
      const woken = Promise.race([this.#changed.next(), back]);
      let waitMs = Number.POSITIVE_INFINITY;
      if (inStep() && (this.#dirty.size > 0 || this.#revision === null)) {
        try {
          this.#revision ??= await this.#compare();
          await this.#tell(this.#revision);
        } catch (error) {
          this.#revision = null;
          if (!signal.aborted) logger.warn({ error: messageChain(error) }, 'firewall rules could not be told to the host; it is tried again');
          // Something else was told since: compared with at once.
          waitMs = error instanceof CenoteError && error.code === 'stale_generation' ? 0 : retryMs;
        }
        this.#settled.notify();
      }
      await wakeOrTimeout(woken, waitMs, signal);
    }
  }

  /** What differs between store and host becomes what is to be told. */
  async #compare(): Promise<number> {
    const { agent, store } = this.#options;
    const applied = await agent.firewall({ signal: this.#stopping.signal });
    const wanted = new Map((await firewallRuleEnabled(system, store.db, null)).map((stored) => [stored.id, appliedOf(stored)]));
    const known = new Map(applied.rules.map((rule) => [rule.id, rule]));
    for (const [id, rule] of wanted) if (!isSame(rule, known.get(id))) this.#touch(id);
    for (const id of known.keys()) if (!wanted.has(id)) this.#touch(id);
    return applied.revision;
  }

  /** A rule that the host refuses holds up no other: they are told in ever smaller parts, until it stands alone. */
  async #tell(after: number, atOnce = rulesPerChange): Promise<void> {
    const { agent, store, logger } = this.#options;
    const told = [...this.#dirty].slice(0, atOnce);
    if (told.length === 0) return;
    const ids = told.map(([id]) => id);
    const put = (await firewallRuleEnabled(system, store.db, ids)).map(appliedOf);
    const kept = new Set(put.map(({ id }) => id));
    const remove = ids.filter((id) => !kept.has(id));
    try {
      this.#revision = (await agent.firewallChange({ after, put, remove }, { signal: this.#stopping.signal })).revision;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (told.length > 1) return this.#tell(after, Math.ceil(told.length / 2));
      logger.error({ rule: ids[0], error: messageChain(error) }, 'the host refuses a firewall rule');
      this.#refused.add(ids[0]!);
    }
    for (const [id, version] of told) if (this.#dirty.get(id) === version) this.#dirty.delete(id);
    await this.#tell(this.#revision ?? after, atOnce);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#working;
  }
}

/** About what was told, and not about when. */
const isRefusal = (error: unknown): boolean => error instanceof CenoteError && ['invalid_argument', 'failed', 'unsupported', 'internal'].includes(error.code);

const appliedOf = ({ id, account, rule, log }: StoredRule): AppliedRule => ({ id, account, rule, log });

const isSame = (one: AppliedRule, other: AppliedRule | undefined): boolean =>
  other !== undefined && one.rule === other.rule && one.account === other.account && one.log === other.log;
