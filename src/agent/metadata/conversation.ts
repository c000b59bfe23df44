/** One connection from inside a machine: a line, its answer, the next line. Never more than one line and one answer are held. */
import type { Duplex } from 'node:stream';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { longestLine } from './bounds.ts';
import type { Held } from './bounds.ts';
import { formatAnswer, invalidCommand, negotiated, parseLine } from './frame.ts';
import type { Answer, Question } from './frame.ts';

const newline = 10;
const mostParts = 64;

export interface Listener {
  /** How long this must wait: a question, or a piece of one. */
  delayMs(what: Question | 'piece'): number;
  answer(question: Question): Promise<Answer>;
  held: Held;
}

/** Until the stream ends, fails, or sends a line that is too long. */
export const converse = async (stream: Duplex, listener: Listener): Promise<void> => {
  for await (const line of linesOf(stream, listener)) {
    const said = await reply(line, listener);
    if (stream.destroyed) return;
    if (!stream.write(said)) await once(stream, 'drain');
  }
};

const reply = async (line: string, listener: Listener): Promise<string> => {
  const asked = parseLine(line);
  const question: Question = asked?.question ?? { kind: 'unknown', why: 'not a line of the protocol' };
  await wait(listener.delayMs(question));
  if (asked === null) return invalidCommand;
  if (question.kind === 'negotiate') return negotiated;
  return formatAnswer(await listener.answer(question), asked.requestId);
};

const wait = async (milliseconds: number): Promise<void> => {
  if (milliseconds > 0) await sleep(milliseconds);
};

/** A carriage return before the newline is not of the line: a terminal may add one. */
async function* linesOf(stream: Duplex, { held, delayMs }: Listener): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
        const line = Buffer.concat([...parts, chunk.subarray(from, end)]).toString('utf8');
        held.giveBack(size);
        [parts, size, from] = [[], 0, end + 1];
        yield line.replace(/\r$/, '');
      }
      if (from === chunk.length) continue;
      const rest = chunk.length - from;
      if (size + rest > longestLine || !held.take(rest)) return;
      size += rest;
      parts.push(chunk.subarray(from));
      if (parts.length > mostParts) parts = [Buffer.concat(parts)];
      await wait(delayMs('piece'));
    }
  } finally {
    held.giveBack(size);
  }
}
