/**
 * The pool of sandboxes made ahead. Making one takes 4-5 ms, of which none is on a request's path as long as the pool has one;
 * refilling runs one at a time in the background, so that a burst of requests is not slowed by it.
 */
import type { Logger } from '../../base/logger.ts';
import { messageChain } from '../../base/errors.ts';
import { closeFd } from '../../sys/libc.ts';
import type { Network } from '../network/network.ts';
import { NamespaceMaker } from './namespace-maker.ts';
import type { Sandbox, Sandboxes, SandboxLink } from './sandbox.ts';
import { Slots, uidBaseOf } from './slots.ts';

export interface SandboxPoolOptions {
  uidBlocks: readonly number[];
  /** The first uid of one more block, when all ranges are in use. */
  claimBlock: () => Promise<number>;
  network: Network;
  /** How many are kept ready. */
  size: number;
  logger: Logger;
}

export const openSandboxes = (options: SandboxPoolOptions): Sandboxes => new SandboxPool(options);

class SandboxPool implements Sandboxes {
  readonly #options: SandboxPoolOptions;
  readonly #slots: Slots;
  readonly #maker: NamespaceMaker;
  readonly #ready: Record<SandboxLink, Sandbox[]> = { external: [], none: [] };
  /** None without a link until somebody has asked for one: most hosts never do. */
  readonly #sizes: Record<SandboxLink, number>;
  #refilling: Promise<void> | null = null;
  #claiming: Promise<unknown> | null = null;
  #closed = false;

  constructor(options: SandboxPoolOptions) {
    this.#options = options;
    this.#sizes = { external: options.size, none: 0 };
    this.#slots = new Slots(options.uidBlocks);
    this.#maker = new NamespaceMaker(options.logger);
  }

  async restore(slots: number[]): Promise<void> {
    this.#slots.reserve(slots);
    this.#refill();
  }

  async take(link: SandboxLink): Promise<Sandbox> {
    if (link === 'none') this.#sizes.none = this.#options.size / 2;
    const ready = this.#ready[link].shift();
    this.#refill();
    return ready ?? this.#make(link);
  }

  started(sandbox: Sandbox): void {
    for (const fd of [sandbox.userNamespaceFd, sandbox.networkNamespaceFd, sandbox.idmapFd]) closeFd(fd);
  }

  release(slot: number): void {
    this.#slots.release(slot);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#refilling;
    for (const sandbox of [...this.#ready.external.splice(0), ...this.#ready.none.splice(0)]) {
      this.started(sandbox);
      await this.#options.network.disconnect(sandbox.slot);
    }
    this.#maker.close();
  }

  #refill(): void {
    if (this.#refilling !== null || this.#closed) return;
    this.#refilling = this.#fill().finally(() => {
      this.#refilling = null;
    });
  }

  async #fill(): Promise<void> {
    for (;;) {
      const link = (['external', 'none'] as const).find((one) => this.#ready[one].length < this.#sizes[one]);
      if (link === undefined || this.#closed) return;
      try {
        this.#ready[link].push(await this.#make(link));
      } catch (error) {
        // The next request makes one itself and reports what is wrong.
        this.#options.logger.warn({ error: messageChain(error) }, 'a sandbox could not be made ahead');
        return;
      }
    }
  }

  async #ensureSlot(): Promise<void> {
    if (this.#slots.freeCount > 0) return;
    this.#claiming ??= this.#options
      .claimBlock()
      .then((block) => this.#slots.addBlock(block))
      .finally(() => (this.#claiming = null));
    await this.#claiming;
  }

  async #make(link: SandboxLink): Promise<Sandbox> {
    await this.#ensureSlot();
    const slot = this.#slots.take();
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#slots.release(slot));
    const uidBase = uidBaseOf(slot);
    const { userFd, networkFd } = await this.#maker.pair(uidBase);
    undo.defer(() => {
      closeFd(userFd);
      closeFd(networkFd);
    });
    const idmapFd = await this.#maker.idmap(uidBase);
    undo.defer(() => closeFd(idmapFd));
    if (link === 'external') await this.#options.network.prepare(slot, networkFd);
    undo.move();
    const namespacePath = (fd: number) => `/proc/${process.pid}/fd/${fd}`;
    return {
      slot,
      uidBase,
      userNamespaceFd: userFd,
      networkNamespaceFd: networkFd,
      idmapFd,
      userNamespace: namespacePath(userFd),
      networkNamespace: namespacePath(networkFd),
    };
  }
}
