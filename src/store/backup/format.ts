/**
 * A copy of the store as lines of JSON, the same for both databases: a header, rows of one table after another (what others refer to first),
 * and a last line with the number of rows and a digest of all lines before it. Without that line a copy is not whole.
 */
import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Check } from 'typebox/schema';
import { invalid } from '../../base/errors.ts';
import type { CenoteError } from '../../base/errors.ts';
import { jsonLine } from '../../base/json-lines.ts';

const closed = { additionalProperties: false } as const;

const Header = Type.Object(
  {
    cenoteBackup: Type.Literal(1),
    createdAt: Type.String({ format: 'date-time' }),
    /** Name of the last migration of the schema that the rows are of. */
    schema: Type.String({ maxLength: 100 }),
  },
  closed,
);
export type Header = Static<typeof Header>;

const Rows = Type.Object(
  {
    table: Type.String({ maxLength: 100 }),
    rows: Type.Array(Type.Record(Type.String(), Type.Union([Type.String(), Type.Integer(), Type.Null()]))),
  },
  closed,
);
export type Rows = Static<typeof Rows>;

const Trailer = Type.Object({ rows: Type.Integer({ minimum: 0 }), sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) }, closed);

/** Longer than any line we write; a file of something else is not read into memory. */
const longestLine = 64 * 1024 * 1024;

/** Adds the last line. */
export async function* sealed(header: Header, tables: AsyncIterable<Rows>): AsyncGenerator<string> {
  const digest = createHash('sha256');
  let rows = 0;
  const add = (value: unknown): string => {
    const line = jsonLine(value);
    digest.update(line);
    return line;
  };
  yield add(header);
  for await (const batch of tables) {
    rows += batch.rows.length;
    yield add(batch);
  }
  yield jsonLine({ rows, sha256: digest.digest('hex') });
}

export interface Copy {
  header: Header;
  tables: AsyncGenerator<Rows>;
}

/** Reads a copy, and refuses one that is not whole; that is known only at the end, so nothing may be final before. */
export const unsealed = async (chunks: AsyncIterable<Uint8Array>): Promise<Copy> => {
  const lines = linesOf(chunks);
  const digest = createHash('sha256');
  const first = await lines.next();
  const header: unknown = first.done ? undefined : parsed(first.value);
  if (!Check(Header, header)) throw broken('this is not a copy of a store that this version reads');
  digest.update(`${first.value!}\n`);
  const tables = async function* (): AsyncGenerator<Rows> {
    let rows = 0;
    for await (const line of lines) {
      const value = parsed(line);
      if (Check(Trailer, value)) {
        if (value.rows !== rows || value.sha256 !== digest.digest('hex')) throw broken('the copy was changed after it was made');
        if (!(await lines.next()).done) throw broken('there is something after the end of the copy');
        return;
      }
      if (!Check(Rows, value)) throw broken('the copy has a line that is not of a copy');
      digest.update(`${line}\n`);
      rows += value.rows.length;
      yield value;
    }
    throw broken('the copy ends before its end');
  };
  return { header, tables: tables() };
};

const broken = (why: string): CenoteError => invalid('backup', why, 'make copies with: cenote backup create FILE');

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
};

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop()!;
    yield* parts;
    if (rest.length > longestLine) throw broken('this is not a copy of a store');
  }
  if (rest !== '') yield rest;
}
