/**
 * A machine's tar stream into a directory of this host. The machine is not trusted: a name that leads outside is refused, nothing is
 * written through a symbolic link that the archive (or the directory) has inside, set-uid bits and owners are dropped, devices are skipped.
 */
import { constants } from 'node:fs';
import { chmod, link, lstat, mkdir, open, rm, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import type { Header } from 'tar-stream';
import { CenoteError, messageOf } from '../../base/errors.ts';
import { whyNot } from '../why-not.ts';

export interface UnpackTarget {
  /** A directory that is there. */
  directory: string;
  /** What the archive's first entry is called there; without it, its own name. */
  rename?: string | undefined;
}

export interface UnpackOptions {
  signal: AbortSignal;
  onBytes?: ((total: number) => void) | undefined;
  onSkipped?: ((name: string) => void) | undefined;
}

/** The parts of a safe name; throws for one that would lead outside. `./` has none. */
export const safeParts = (name: string): string[] => {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || parts.includes('..') || name.includes('\0')) {
    throw new CenoteError('failed', `refused: the machine sent the name ${JSON.stringify(name.slice(0, 200))}, which leads outside the target`);
  }
  // What the reader of archives puts for bytes that are no text; two such names could become one.
  if (name.includes('\ufffd')) {
    throw new CenoteError('failed', `cannot copy ${JSON.stringify(name.slice(0, 200))}: its name in the machine is not UTF-8`, {
      advice: 'rename it there, or copy its neighbours one by one',
    });
  }
  return parts;
};

export const unpackFiles = async (stream: Readable, target: UnpackTarget, options: UnpackOptions): Promise<number> => {
  const archive = extract();
  const arriving = pipeline(stream, archive);
  arriving.catch(() => undefined); // awaited below, when the entries end
  const unpacker = new Unpacker(target, options);
  try {
    for await (const entry of archive) {
      options.signal.throwIfAborted();
      await unpacker.add(entry.header, entry as AsyncIterable<Buffer>);
      entry.resume();
    }
    await arriving;
  } catch (error) {
    // Where it is ours, leaving the loop has closed the stream; where the stream broke, its own reason says more than ours.
    const reason = await arriving.then(
      () => error,
      (cause: unknown) => cause,
    );
    throw codeOf(reason) === 'ERR_STREAM_PREMATURE_CLOSE' ? ofThisHost(error) : brokenOff(reason);
  }
  await unpacker.finish();
  return unpacker.entries;
};

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const ofThisHost = (error: unknown): unknown =>
  error instanceof Error && 'syscall' in error && 'path' in error
    ? new CenoteError('failed', `cannot write ${String(error.path)}: ${whyNot(error)}`, { cause: error })
    : error;

const brokenOff = (cause: unknown): CenoteError => {
  const why = codeOf(cause) === 'ECONNRESET' ? "it could not be read to its end; the agent's log says why" : messageOf(cause);
  return new CenoteError('failed', `the copy broke off: ${why}`, {
    cause,
    advice: 'what came before is there; directories such as /proc and /sys cannot be copied',
  });
};

class Unpacker {
  entries = 0;
  #bytes = 0;
  #first: string[] | undefined;
  /** Directories get their modes last: one that may not be written must first be filled. */
  readonly #directoryModes: { path: string; mode: number; mtime: Date }[] = [];
  readonly #target: UnpackTarget;
  readonly #options: UnpackOptions;

  constructor(target: UnpackTarget, options: UnpackOptions) {
    this.#target = target;
    this.#options = options;
  }

  async add(header: Header, content: AsyncIterable<Buffer>): Promise<void> {
    const parts = this.#place(safeParts(header.name));
    const path = join(this.#target.directory, ...parts);
    const mode = (header.mode ?? 0o644) & 0o777;
    const mtime = header.mtime ?? new Date();
    this.entries++;
    if (header.type !== 'directory' && parts.length === 0) throw new CenoteError('failed', 'refused: the machine sent a file without a name');
    await this.#makeParents(parts);
    switch (header.type ?? 'file') {
      case 'directory':
        await this.#directory(path);
        // The target itself keeps the mode it has.
        if (parts.length > 0) this.#directoryModes.push({ path, mode, mtime });
        return;
      case 'file':
      case 'contiguous-file':
        return this.#file(path, mode, mtime, content);
      case 'symlink':
        await this.#clear(path);
        return symlink(header.linkname ?? '', path);
      case 'link':
        return this.#hardLink(header.linkname ?? '', path);
      case 'block-device':
      case 'character-device':
      case 'fifo':
      default:
        this.#options.onSkipped?.(header.name);
    }
  }

  async finish(): Promise<void> {
    for (const { path, mode, mtime } of this.#directoryModes.reverse()) {
      await chmod(path, mode);
      await utimes(path, mtime, mtime);
    }
  }

  /** Where an entry goes: the first one's name may be replaced, and what is beneath it goes along. */
  #place(parts: string[]): string[] {
    this.#first ??= parts;
    const first = this.#first;
    if (this.#target.rename === undefined) return parts;
    if (!first.every((part, index) => parts[index] === part)) {
      throw new CenoteError('failed', `refused: the machine sent ${JSON.stringify(parts.join('/').slice(0, 200))}, which is not beneath what was asked for`);
    }
    return [...safeParts(this.#target.rename), ...parts.slice(first.length)];
  }

  /** Each directory on the way is a real one, made if absent; a symbolic link among them could point anywhere. */
  async #makeParents(parts: readonly string[]): Promise<void> {
    for (let depth = 1; depth < parts.length; depth++) await this.#directory(join(this.#target.directory, ...parts.slice(0, depth)));
  }

  async #directory(path: string): Promise<void> {
    const stats = await lstat(path).catch(() => undefined);
    if (stats === undefined) await mkdir(path, { mode: 0o700 });
    else if (!stats.isDirectory()) throw new CenoteError('failed', `refused: ${path} is in the way and not a directory`);
  }

  async #clear(path: string): Promise<void> {
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isDirectory()) throw new CenoteError('failed', `${path} is a directory, and what is copied is not`);
    await rm(path, { force: true });
  }

  async #file(path: string, mode: number, mtime: Date, content: AsyncIterable<Buffer>): Promise<void> {
    await this.#clear(path);
    await using file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    for await (const chunk of content) {
      this.#options.signal.throwIfAborted();
      await file.writeFile(chunk);
      this.#options.onBytes?.((this.#bytes += chunk.length));
    }
    await file.chmod(mode);
    await file.utimes(mtime, mtime);
  }

  async #hardLink(name: string, path: string): Promise<void> {
    const parts = this.#place(safeParts(name));
    const existing = join(this.#target.directory, ...parts);
    await this.#makeParents(parts);
    if (!(await lstat(existing).catch(() => undefined))?.isFile())
      throw new CenoteError('failed', `refused: the link ${path} is to something that was not copied`);
    await this.#clear(path);
    await link(existing, path);
  }
}
