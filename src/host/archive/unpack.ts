/** An archive into a directory: checked here, entry by entry, and unpacked by a confined bsdtar that is fed only what passed. */
import type { ChildProcess } from 'node:child_process';
import { fstatSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { CenoteError, invalid } from '../../base/errors.ts';
import { closeFd, isErrno, openFd, openFlags } from '../../sys/libc.ts';
import { openInRoot } from '../../sys/openat2.ts';
import type { ArchiveLimits, Confinement } from './archive.ts';
import { ended, handedOver, startConfined } from './confined.ts';
import { decompressed } from './decompress.ts';
import { EntryChecker, normalName } from './entry-check.ts';
import type { NameRule } from './entry-check.ts';
import { blockSize, encodeHeader, paddingOf, zeroBlock } from './tar-format.ts';
import { TarReader } from './tar-reader.ts';

const batchBytes = 256 * 1024;
const noBytes = Buffer.alloc(0);

export const unpackInto = async (
  source: Readable,
  where: Confinement,
  limits: ArchiveLimits,
  signal: AbortSignal,
  nameRule?: NameRule,
): Promise<{ entries: number; bytes: number }> => {
  signal.throwIfAborted();
  const prefix = prefixOf(where.path);
  const fd = openFd(where.root, openFlags.path | openFlags.directory);
  let child: ChildProcess;
  let head: Buffer[];
  // -P: names were checked here and the root is changed, so links on the way are followed as the machine itself would.
  const args = ['-x', '-P', '-p', '--numeric-owner', '--same-owner', '--no-acls', '--no-fflags', '--chroot', '-f', '-', '-C', handedOver];
  try {
    head = prefix.length === 0 ? [] : missingDirectory(fd, where.path, prefix);
    child = startConfined(where.userNamespace, fd, args, ['pipe', 'ignore']);
  } finally {
    closeFd(fd);
  }
  const stop = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  const end = ended(child);
  end.catch(() => {}); // looked at below, after the feeding
  const checker = new EntryChecker(limits, nameRule);
  const sink = new Sink(child.stdin!);
  try {
    await feed(new TarReader(decompressed(source)), checker, sink, prefix, head);
  } catch (error) {
    stop();
    await end.catch(() => {});
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  const { code, signal: killedBy, said } = await end;
  signal.throwIfAborted();
  if (code !== 0) throw unpackError(said, where.path, killedBy);
  return { entries: checker.entries, bytes: checker.bytes };
};

/** The directory's name as a prefix of the entries' names. */
const prefixOf = (path: string): Buffer => {
  if (!path.startsWith('/')) throw invalid('path', 'must be absolute');
  if (path.split('/').includes('..')) throw invalid('path', 'must not contain ".."');
  if (path.includes('\0')) throw invalid('path', 'must not contain a zero byte');
  const name = normalName(Buffer.from(`.${path}`));
  return name.length === 0 ? name : Buffer.concat([name, Buffer.from('/')]);
};

const feed = async (reader: TarReader, checker: EntryChecker, sink: Sink, prefix: Buffer, head: readonly Buffer[]): Promise<void> => {
  try {
    await sink.writeAll(head);
    for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
      const checked = checker.check(entry);
      if (checked === null) continue;
      const { header, extendedAttributes } = checked;
      const link = header.flag === '1' ? Buffer.concat([prefix, header.link]) : header.link;
      await sink.writeAll(encodeHeader({ ...header, name: Buffer.concat([prefix, header.name]), link }, extendedAttributes));
      for await (const part of reader.body()) await sink.write(part);
      await sink.write(zeroBlock.subarray(0, paddingOf(header.size)));
      if (sink.closed) return; // the program gave up; its exit code and words tell why
    }
    await sink.end();
  } finally {
    await reader.close();
  }
};

/**
 * An entry for the directory itself, only where it is not there yet (one that is keeps its mode and owner). libarchive makes
 * missing parents of what it unpacks, but an archive may hold nothing else.
 */
const missingDirectory = (rootFd: number, path: string, name: Buffer): Buffer[] => {
  try {
    const fd = openInRoot(rootFd, path);
    try {
      if (!fstatSync(fd).isDirectory()) throw invalid('path', `${path} is there and is not a directory`);
    } finally {
      closeFd(fd);
    }
    return [];
  } catch (error) {
    if (isErrno(error, 'ENOENT'))
      return encodeHeader({ name, link: noBytes, flag: '5', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: Math.trunc(Date.now() / 1000) }, new Map());
    if (isErrno(error, 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG')) throw invalid('path', `${path} cannot be a directory here`);
    throw error;
  }
};

/** Collects small writes; keeps still once the program has closed its end. */
class Sink {
  readonly #to: Writable;
  #parts: Buffer[] = [];
  #size = 0;
  #wake: () => void = () => {};
  closed = false;

  constructor(to: Writable) {
    this.#to = to;
    const close = () => {
      this.closed = true;
      this.#wake();
    };
    to.on('error', close)
      .on('close', close)
      .on('drain', () => this.#wake());
  }

  async writeAll(parts: readonly Buffer[]): Promise<void> {
    for (const part of parts) await this.write(part);
  }

  async write(part: Buffer): Promise<void> {
    this.#parts.push(part);
    this.#size += part.length;
    if (this.#size >= batchBytes) await this.#flush();
  }

  async end(): Promise<void> {
    await this.write(Buffer.alloc(2 * blockSize));
    await this.#flush();
    this.#to.end();
  }

  async #flush(): Promise<void> {
    const whole = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#size = 0;
    if (this.closed || this.#to.write(whole)) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

const unpackError = (said: readonly string[], path: string, killedBy: NodeJS.Signals | null): CenoteError => {
  const context = { stderr: said.slice(0, 50) };
  if (said.some((line) => /Disk quota exceeded/.test(line))) {
    return new CenoteError('not_enough', `the archive does not fit at ${path}: the disk quota is used up`, {
      context,
      advice: 'give the machine more disk, or free some',
    });
  }
  if (said.some((line) => /No space left on device/.test(line)))
    return new CenoteError('not_enough', `the archive does not fit at ${path}: no space left`, { context });
  const first = said.find((line) => !/Error exit delayed/.test(line))?.replace(/^(bsdtar|nsenter|setpriv): /, '');
  return new CenoteError('failed', `the archive could not be unpacked at ${path}: ${first ?? `bsdtar was ended by ${killedBy ?? 'itself'}`}`, { context });
};
