/**
 * A machine's output, line by line: what it wrote to standard output to ours, what it wrote to standard error to ours. Following goes on by
 * itself when the connection breaks and comes back within a while, as it does when the agent or the control plane is replaced by a newer one.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import type { LogLine } from '../../model/agent-api.ts';
import type { Context } from '../context.ts';

export interface FollowOptions {
  follow: boolean;
  tail?: number | undefined;
  timestamps?: boolean;
  json?: boolean;
  signal: AbortSignal;
  /** Lines already shown. */
  skip?: number;
}

const patienceMs = 30_000;
const retryMs = 250;

/** Resolves with the number of lines seen when the stream ends or the signal comes. */
export const followLogs = async (context: Context, machineId: string, options: FollowOptions): Promise<number> => {
  const control = await context.control();
  const { follow, tail, signal } = options;
  const place = new Place();
  /** Since when the output has been broken off; for ever where it never began. */
  let brokenAt = Number.NEGATIVE_INFINITY;
  const show = async (line: LogLine): Promise<void> => {
    if (!place.isNew(line) || place.seen <= (options.skip ?? 0)) return;
    if (options.json === true) return context.output.jsonLine(line);
    await context.output.bytes(Buffer.from(`${options.timestamps === true ? `${line.at} ` : ''}${line.text}\n`), line.stream);
  };
  const showAll = async (): Promise<void> => {
    // What was shown is found again in the whole, since lines have no numbers.
    const query = { ...(follow ? { follow: true } : {}), ...(tail === undefined || place.seen > 0 ? {} : { tail }) };
    const response = await control.logs(machineId, query, { signal });
    place.begin();
    try {
      for await (const lines of linesOf(response, follow)) for (const line of lines) await show(line);
    } finally {
      brokenAt = Date.now();
    }
  };
  for (;;) {
    try {
      await showAll();
      return place.seen;
    } catch (error) {
      if (signal.aborted) return place.seen;
      const isAway = error instanceof CenoteError && error.code === 'unavailable';
      if (!follow || !isAway || Date.now() - brokenAt > patienceMs) throw error;
    }
    await sleep(retryMs, undefined, { signal }).catch(() => {});
  }
};

/** A stream that ends although it is followed has been ended by a server that goes. */
async function* linesOf(response: Readable, follow: boolean): AsyncGenerator<LogLine[]> {
  const { jsonLines } = await import('../../base/json-lines.ts');
  const broken = (cause?: unknown): CenoteError =>
    new CenoteError('unavailable', 'the output broke off: the agent or the control plane has gone away', {
      cause,
      advice: 'see whether they run: cenote doctor',
    });
  try {
    yield* jsonLines<LogLine>(response);
  } catch (error) {
    throw broken(error);
  }
  if (follow) throw broken();
}

/** How far the output has been shown; after a break it begins at its beginning again. */
class Place {
  seen = 0;
  #last: LogLine | undefined;
  /** Lines like the last one, one after another. */
  #alike = 0;
  #toPass = 0;

  begin(): void {
    this.#toPass = this.#alike;
  }

  isNew(line: LogLine): boolean {
    const last = this.#last;
    const alike = last !== undefined && line.at === last.at && line.stream === last.stream && line.text === last.text;
    if (this.#toPass > 0 && last !== undefined) {
      if (alike) this.#toPass -= 1;
      // Later than the last one: that was rotated away.
      if (alike || !isLater(line.at, last.at)) return false;
      this.#toPass = 0;
    }
    this.#alike = alike ? this.#alike + 1 : 1;
    this.#last = line;
    this.seen += 1;
    return true;
  }
}

/** Times have more digits than a Date. */
const isLater = (one: string, other: string): boolean => {
  const difference = Date.parse(one) - Date.parse(other);
  return difference === 0 ? one > other : difference > 0;
};
