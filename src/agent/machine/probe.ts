/** One health check: the command's exit code says it, and too slow is a failure. What it wrote is kept, for who asks why. */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { stripVTControlCharacters } from 'node:util';
import { messageOf } from '../../base/errors.ts';
import { within } from '../../base/within.ts';
import type { HealthCheck } from '../../model/event.ts';
import type { Host } from '../host.ts';
import type { HealthPlan } from './health.ts';
import type { Run } from './run.ts';

const keptLength = 200;
/** Something that the check has left running may hold its output open for ever. */
const lastWordsMs = 100;

export const probeHealth = async (host: Host, id: string, run: Run, plan: HealthPlan): Promise<HealthCheck> => {
  try {
    const session = await host.runtime.exec(id, { command: plan.command, tty: false, stdin: false }, run.defaults());
    const output = new FirstWords([session.stdout, ...(session.stderr === null ? [] : [session.stderr])]);
    const exit = await within(session.exited, plan.timeoutMs);
    if (exit !== null) await within(output.ended, lastWordsMs);
    // So that there is one at a time.
    await session.close();
    const reason = exit === null ? `took longer than ${plan.timeoutMs / 1000} s` : (exit.error ?? `exited with code ${exit.code}`);
    return { code: exit?.code ?? null, reason, output: output.text };
  } catch (error) {
    return { code: null, reason: messageOf(error), output: '' }; // the machine is ending, as a rule
  }
};

/** Reads all that comes, so that nobody waits to write, and keeps how it begins. */
class FirstWords {
  readonly ended: Promise<unknown>;
  #kept = Buffer.alloc(0);

  constructor(streams: readonly Readable[]) {
    for (const stream of streams)
      stream.on('data', (chunk: Buffer) => {
        // A character has at most four bytes.
        if (this.#kept.length < keptLength * 4) this.#kept = Buffer.concat([this.#kept, chunk.subarray(0, keptLength * 4)]);
      });
    this.ended = Promise.allSettled(streams.map((stream) => finished(stream)));
  }

  /** In one line, and nothing in it that a terminal would obey. */
  get text(): string {
    const plain = stripVTControlCharacters(this.#kept.toString('utf8')).replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, ' ');
    return plain.trim().slice(0, keptLength).toWellFormed();
  }
}
