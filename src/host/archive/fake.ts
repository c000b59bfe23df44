/**
 * An archiver for tests of the layers above: the same checks, written with plain file calls by the test's own user, so it needs neither
 * root nor programs. It confines nothing and keeps no owners.
 */
import { chmodSync, linkSync, lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { CenoteError } from '../../base/errors.ts';
import type { RuledArchiver } from './archiver.ts';
import { decompressed } from './decompress.ts';
import { EntryChecker } from './entry-check.ts';
import { blockSize, encodeHeader, paddingOf, zeroBlock } from './tar-format.ts';
import { TarReader } from './tar-reader.ts';

export const createFakeArchiver = (): RuledArchiver => ({
  unpack: async (source, where, limits, signal, nameRule) => {
    const target = join(where.root, where.path);
    const checker = new EntryChecker(limits, nameRule);
    const reader = new TarReader(decompressed(source));
    mkdirSync(target, { recursive: true });
    for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
      signal.throwIfAborted();
      const checked = checker.check(entry);
      if (checked === null) continue;
      const { header } = checked;
      const parts: Buffer[] = [];
      for await (const part of reader.body()) parts.push(part);
      write(target, header.name.toString(), header.flag, header.link.toString(), header.mode, Buffer.concat(parts));
    }
    return { entries: checker.entries, bytes: checker.bytes };
  },
  pack: async (where) => {
    const start = join(where.root, where.path);
    if (!lstatSync(start, { throwIfNoEntry: false })) throw new CenoteError('not_found', `there is no ${where.path}`);
    const blocks = statSync(start).isDirectory() ? [...entriesBelow(start, '.')] : [...entryOf(start, basename(start))];
    return Readable.from([...blocks, Buffer.alloc(2 * blockSize)], { objectMode: false });
  },
});

const write = (target: string, name: string, flag: string, link: string, mode: number, body: Buffer): void => {
  const path = join(target, name);
  mkdirSync(dirname(path), { recursive: true });
  if (flag === '5') return void mkdirSync(path, { recursive: true });
  rmSync(path, { force: true });
  if (flag === '1') return linkSync(join(target, link), path);
  if (flag === '2') return symlinkSync(link, path);
  writeFileSync(path, body);
  chmodSync(path, mode);
};

function* entriesBelow(path: string, name: string): Generator<Buffer> {
  yield* entryOf(path, name);
  for (const child of readdirSync(path, { withFileTypes: true })) {
    const inside = join(path, child.name);
    if (child.isDirectory()) yield* entriesBelow(inside, `${name}/${child.name}`);
    else yield* entryOf(inside, `${name}/${child.name}`);
  }
}

function* entryOf(path: string, name: string): Generator<Buffer> {
  const stat = lstatSync(path);
  const flag = stat.isDirectory() ? '5' : stat.isSymbolicLink() ? '2' : '0';
  const body = flag === '0' ? readFileSync(path) : Buffer.alloc(0);
  const link = flag === '2' ? readlinkSync(path) : '';
  const header = {
    name: Buffer.from(name),
    link: Buffer.from(link),
    flag,
    mode: stat.mode & 0o7777,
    uid: 0,
    gid: 0,
    size: body.length,
    mtime: Math.trunc(stat.mtimeMs / 1000),
  };
  yield* encodeHeader(header, new Map());
  yield body;
  yield zeroBlock.subarray(0, paddingOf(body.length));
}
