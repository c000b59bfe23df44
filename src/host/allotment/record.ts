/**
 * The host-wide record on disk. Read without the lock (a file is only ever replaced whole), written under it: to a temporary
 * file, synced, renamed, so that neither kill -9 nor a power loss leaves half a record.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Type } from 'typebox';
import type { Static, TSchema } from 'typebox';
import { Check } from 'typebox/schema';
import { CenoteError } from '../../base/errors.ts';
import { instanceNamePattern } from '../../model/instance.ts';
import { isErrno } from '../../sys/libc.ts';

const closed = { additionalProperties: false } as const;
const Share = Type.Object({ cpuMillis: Type.Integer({ minimum: 0 }), memoryMib: Type.Integer({ minimum: 0 }) }, closed);
export type Share = Static<typeof Share>;

export const AllottedInstance = Type.Object(
  {
    instance: Type.String({ pattern: instanceNamePattern }),
    number: Type.Integer({ minimum: 0, maximum: 63 }),
    root: Type.String(),
    subnet: Type.String(),
    uidBlocks: Type.Array(Type.Integer()),
    /** Null: the rest of the host. Only one instance has the rest. */
    share: Type.Union([Share, Type.Null()]),
  },
  closed,
);
export type AllottedInstance = Static<typeof AllottedInstance>;

/** What set-up changed on the host, what was there before, and for whom. `sysctl:KEY`, `mount:PATH`, `zram:DEVICE`. */
export const HostChange = Type.Object({ former: Type.String(), owners: Type.Array(Type.String()) }, closed);
export type HostChange = Static<typeof HostChange>;

export const AllotmentRecord = Type.Object(
  { version: Type.Literal(1), instances: Type.Array(AllottedInstance), changes: Type.Record(Type.String(), HostChange) },
  closed,
);
export type AllotmentRecord = Static<typeof AllotmentRecord>;

export const PortRecord = Type.Record(
  Type.String({ pattern: '^(tcp|udp)/[0-9]{1,5}$' }),
  Type.Object({ instance: Type.String(), machine: Type.String() }, closed),
);
export type PortRecord = Static<typeof PortRecord>;

/** Null when there is none. A damaged record is an error: guessing would give one range to two. */
export const readRecord = <Schema extends TSchema>(path: string, schema: Schema): Static<Schema> | null => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
  let value: unknown = undefined;
  try {
    value = JSON.parse(text);
  } catch {
    // falls through to the one message below
  }
  if (Check(schema, value)) return value;
  throw new CenoteError('failed', `${path} is damaged`, { advice: 'put back a good copy, or remove it when no instance of Cenote is on this host' });
};

/** Reads a record for who only looks at it, and only when its file was replaced since the last time. */
export const recordReader = <Schema extends TSchema>(path: string, schema: Schema): (() => Static<Schema> | null) => {
  let [seen, record]: [string, Static<Schema> | null] = ['', null];
  return () => {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    const version = stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
    if (version !== seen) [record, seen] = [readRecord(path, schema), version];
    return version === '' ? null : record;
  };
};

export const writeRecord = (path: string, value: object, options: { sync: boolean }): void => {
  const temporary = `${path}.new`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 1)}\n`, { mode: 0o644 });
  if (options.sync) syncPath(temporary);
  renameSync(temporary, path);
  if (options.sync) syncPath(dirname(path));
};

export const makeRecordDirectory = (directory: string): void => {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
};

/** The lock last: from then on another may hold a new one, and what it writes stays. */
export const removeRecordDirectory = (directory: string, lockName: string): void => {
  for (const name of readdirSync(directory)) if (name !== lockName) rmSync(join(directory, name), { recursive: true, force: true });
  rmSync(join(directory, lockName));
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'ENOENT')) throw error;
  }
};

const syncPath = (path: string): void => {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};
