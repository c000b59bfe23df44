/**
 * Sends requests when they are due, whether or not earlier ones have been answered (an open loop), and takes each one's time from when it
 * was due: what a queue does to those behind is not hidden by waiting with them. A request is given up when its time is over.
 */
import { Agent, request } from 'node:http';
import type { ClientRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Arrival } from './arrivals.ts';

export interface Target {
  host: string;
  port: number;
}

export interface Plan {
  arrivals: readonly Arrival[];
  /** Where each tenant is asked; with several, the one that has the fewest requests open. */
  targets: readonly (readonly Target[])[];
  tileTimeoutMs: number;
  reportTimeoutMs: number;
  reportPath: string;
}

/** `late`: given up; `refused`: the app said no; `broken`: no answer that could be read. */
export type Fate = 'answered' | 'late' | 'refused' | 'broken';

export interface Outcome extends Arrival {
  fate: Fate;
  /** From due to answered, or to given up. */
  ms: number;
  /** Of it, before it was sent: the sender's own delay. */
  lagMs: number;
}

/** More than ever wait at once for one tenant: the queue is the tenant's, not ours. */
const connectionsPerTarget = 2048;
const sweepMs = 5;

interface Place extends Target {
  open: number;
}

interface Open {
  arrival: Arrival;
  outgoing: ClientRequest;
  settle(fate: Fate): void;
}

export class Sender {
  readonly #plan: Plan;
  readonly #places: Place[][];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: connectionsPerTarget, maxFreeSockets: connectionsPerTarget });
  /** In the order in which they are due, one line for each kind, so the first of each is the next to be given up. */
  readonly #open = { tile: new Set<Open>(), report: new Set<Open>() };
  readonly #outcomes: Outcome[] = [];
  #begun = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#places = plan.targets.map((targets) => targets.map((target) => ({ ...target, open: 0 })));
  }

  /** From now on this one is asked too. */
  addTarget(tenant: number, target: Target): void {
    this.#places[tenant]!.push({ ...target, open: 0 });
  }

  async run(): Promise<Outcome[]> {
    this.#begun = performance.now();
    const sweep = setInterval(() => this.#giveUp(), sweepMs);
    for (const [index, arrival] of this.#plan.arrivals.entries()) {
      const early = arrival.dueMs - this.#now();
      if (early > 0.5) await sleep(early);
      // Far behind, the answers must still be read.
      else if (index % 8 === 0) await new Promise(setImmediate);
      this.#send(arrival);
    }
    while (this.#open.tile.size + this.#open.report.size > 0) await sleep(sweepMs);
    clearInterval(sweep);
    this.#agent.destroy();
    return this.#outcomes;
  }

  #now(): number {
    return performance.now() - this.#begun;
  }

  #send(arrival: Arrival): void {
    const places = this.#places[arrival.tenant]!;
    const place = places.reduce((best, other) => (other.open < best.open ? other : best));
    const lagMs = this.#now() - arrival.dueMs;
    const path = arrival.kind === 'report' ? this.#plan.reportPath : `/tile/${Math.floor(arrival.dueMs * 7) % 100_000}/${arrival.tenant}.png`;
    const outgoing = request({ host: place.host, port: place.port, path, agent: this.#agent });
    place.open += 1;
    const open: Open = {
      arrival,
      outgoing,
      settle: (fate) => {
        if (!this.#open[arrival.kind].delete(open)) return;
        place.open -= 1;
        this.#outcomes.push({ ...arrival, fate, ms: this.#now() - arrival.dueMs, lagMs });
      },
    };
    this.#open[arrival.kind].add(open);
    outgoing.on('response', (response) => {
      response.resume();
      response.on('end', () => open.settle(response.statusCode === 200 ? 'answered' : response.statusCode === 503 ? 'refused' : 'broken'));
      response.on('error', () => open.settle('broken'));
    });
    outgoing.on('error', () => open.settle('broken'));
    outgoing.end();
  }

  #giveUp(): void {
    const now = this.#now();
    for (const [kind, timeoutMs] of [['tile', this.#plan.tileTimeoutMs] as const, ['report', this.#plan.reportTimeoutMs] as const])
      for (const open of this.#open[kind]) {
        if (open.arrival.dueMs + timeoutMs > now) break;
        open.settle('late');
        open.outgoing.destroy();
      }
  }
}
