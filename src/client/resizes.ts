/**
 * Resizes asked for in one turn of the event loop, as when a commit has accepted many, go to the agent as one request: a request of its own costs
 * each a fifth of all that is done for it. Every caller has an answer of its own, as soon as the agent gives it.
 */
import { CenoteError, asCenoteError } from '../base/errors.ts';
import { mostResizes } from '../model/agent-api.ts';
import type { MachineResize, ResizeOutcome } from '../model/agent-api.ts';
import type { MachineStatus } from '../model/machine.ts';

type Signal = AbortSignal | undefined;
type Send = (asked: readonly MachineResize[], signal: Signal) => AsyncIterable<readonly ResizeOutcome[]>;

interface Call extends PromiseWithResolvers<MachineStatus> {
  asked: MachineResize;
}

export class Resizes {
  readonly #send: Send;
  /** What ends one ends its whole request, so those go together that are ended by the same. */
  readonly #gathered = new Map<Signal, Call[]>();

  constructor(send: Send) {
    this.#send = send;
  }

  ask(asked: MachineResize, signal: Signal): Promise<MachineStatus> {
    const call = { ...Promise.withResolvers<MachineStatus>(), asked };
    const gathered = this.#gathered.get(signal);
    if (gathered !== undefined) gathered.push(call);
    else {
      this.#gathered.set(signal, [call]);
      process.nextTick(() => this.#sendGathered(signal));
    }
    return call.promise;
  }

  #sendGathered(signal: Signal): void {
    const calls = this.#gathered.get(signal)!;
    this.#gathered.delete(signal);
    for (let first = 0; first < calls.length; first += mostResizes) void this.#sendTogether(calls.slice(first, first + mostResizes), signal);
  }

  async #sendTogether(calls: readonly Call[], signal: Signal): Promise<void> {
    let broken = new CenoteError('unavailable', 'the agent ended its answer before all was told');
    try {
      const asked = calls.map((call) => call.asked);
      for await (const outcomes of this.#send(asked, signal)) for (const outcome of outcomes) settle(calls[outcome.index], outcome);
    } catch (error) {
      broken = asCenoteError(error);
    }
    // What is wrong with one is not to be said of the others.
    if (broken.code === 'invalid_argument' && calls.length > 1) for (const call of calls) void this.#sendTogether([call], signal);
    // Settled already, but for those that had no answer.
    else for (const call of calls) call.reject(broken);
  }
}

const settle = (call: Call | undefined, outcome: ResizeOutcome): void => {
  if ('status' in outcome) call?.resolve(outcome.status);
  else call?.reject(CenoteError.fromBody(outcome.error));
};
