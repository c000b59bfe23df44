/**
 * Whether the agent still answers. One that stands still (stopped, or stuck in the kernel) keeps its connections, so that nothing tells of it but a
 * question that is not answered; without asking, whoever waits for it would wait for good.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import type { AgentInfo } from '../../model/agent-api.ts';

const everyMs = 10_000;
const answerMs = 10_000;

export class Pulse {
  readonly #agent: AgentClient;
  #stopped = new AbortController();

  constructor(agent: AgentClient) {
    this.#agent = agent;
  }

  /** Aborted, with the error to give, once the agent is found to stand still. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  /** It has answered again. */
  goesOn(): void {
    if (this.#stopped.signal.aborted) this.#stopped = new AbortController();
  }

  async ask(signal: AbortSignal): Promise<AgentInfo> {
    const late = AbortSignal.timeout(answerMs);
    try {
      return await this.#agent.info({ signal: AbortSignal.any([signal, late]) });
    } catch (error) {
      if (!late.aborted || signal.aborted) throw error;
      const still = new CenoteError('unavailable', `the host's agent stands still: it has not answered for ${answerMs / 1000} s`, {
        advice: 'see what it does: cenote doctor',
      });
      this.#stopped.abort(still);
      throw still;
    }
  }

  /** Asks again and again; ends at the first question that is not answered. */
  async watch(signal: AbortSignal, onAnswer: (info: AgentInfo) => void): Promise<void> {
    while (!signal.aborted) {
      await sleep(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) onAnswer(await this.ask(signal));
    }
  }
}
