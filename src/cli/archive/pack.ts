/**
 * Files and directories of this host as a tar stream, made while it is sent. Owners are written as 0:0 and the machine's root gets
 * them: ids of this host mean nothing inside. What is neither file, directory nor symbolic link is skipped and named.
 */
import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { lstat, open, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pack as tarPack } from 'tar-stream';
import type { Header, Pack } from 'tar-stream';
import { isErrno } from '../../base/errno.ts';
import { CenoteError, invalid } from '../../base/errors.ts';
import { whyNot } from '../why-not.ts';

export interface Source {
  path: string;
  /** Its name in the archive; empty for a directory's contents without the directory. */
  name: string;
}

export interface PackOptions {
  signal: AbortSignal;
  /** Bytes of files sent so far. */
  onBytes?: ((total: number) => void) | undefined;
  onSkipped?: ((path: string) => void) | undefined;
}

type EntryHeader = Partial<Header> & Pick<Header, 'name'>;

const chunkSize = 256 * 1024;

/** A source as a person named it: what a link points at, and the last part of its path as the name. */
export const sourceOf = async (path: string): Promise<Source & { directory: boolean }> => {
  const stats = await stat(path).catch((error: unknown) => {
    throw new CenoteError('not_found', `cannot read ${path}: ${whyNot(error)}`, { cause: error });
  });
  if (!stats.isDirectory() && !stats.isFile()) throw invalid('SRC', `${path} is neither a file nor a directory`);
  // `dir/.` and `.` mean the contents.
  const name = /(^|\/)\.{1,2}\/?$/.test(path) ? '' : basename(path);
  return { path, name, directory: stats.isDirectory() };
};

export const packFiles = (sources: readonly Source[], options: PackOptions): Readable => {
  const archive = tarPack();
  const packer = new Packer(archive, options);
  const write = async (): Promise<void> => {
    for (const source of sources) {
      // A link that a person named is followed; those beneath are not.
      const path = await realpath(source.path);
      await packer.add(path, source.name, await lstat(path));
    }
    archive.finalize();
  };
  // tar-stream's streams are streamx; a Node stream around it is what HTTP wants.
  const readable = Readable.from(archive as AsyncIterable<Buffer>, { objectMode: false });
  const fail = (error: unknown) => void readable.destroy(error instanceof Error ? error : new Error(String(error)));
  // Whoever sends it may only come to it later, and looks then.
  readable.on('error', () => {});
  // Also where nobody reads any more, and the packing waits for that.
  const { signal } = options;
  const stop = () => fail(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  readable.once('close', () => signal.removeEventListener('abort', stop));
  write().catch(fail);
  return readable;
};

class Packer {
  readonly #archive: Pack;
  readonly #options: PackOptions;
  #bytes = 0;

  constructor(archive: Pack, options: PackOptions) {
    this.#archive = archive;
    this.#options = options;
  }

  async add(path: string, name: string, stats: Stats): Promise<void> {
    this.#options.signal.throwIfAborted();
    const common = { name, mode: stats.mode & 0o7777, mtime: stats.mtime, uid: 0, gid: 0, uname: 'root', gname: 'root' };
    if (stats.isDirectory()) {
      if (name !== '') await this.#entry({ ...common, type: 'directory' });
      for (const bytes of (await readdir(path, { encoding: 'buffer' })).toSorted(Buffer.compare)) {
        const child = textOf(bytes, `its name in ${path}`);
        await this.#child(join(path, child), name === '' ? child : `${name}/${child}`);
      }
    } else if (stats.isSymbolicLink()) {
      const linkname = textOf(await readlink(path, { encoding: 'buffer' }), `what the link ${path} points at`);
      await this.#entry({ ...common, type: 'symlink', linkname });
    } else if (stats.isFile()) await this.#file(path, { ...common, type: 'file', size: stats.size });
    else this.#options.onSkipped?.(path);
  }

  /** What is gone between listing and reading was never there. */
  async #child(path: string, name: string): Promise<void> {
    const stats = await lstat(path).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw new CenoteError('failed', `cannot read ${path}: ${whyNot(error)}`, { cause: error });
    });
    if (stats !== undefined) await this.add(path, name, stats);
  }

  async #file(path: string, header: EntryHeader): Promise<void> {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
      throw new CenoteError('failed', `cannot read ${path}: ${whyNot(error)}`, { cause: error });
    });
    const entry = this.#archive.entry(header);
    // Heard from the first moment: the archive may be ended while the file is read.
    const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
    entry.once('close', resolve);
    entry.once('error', reject);
    ended.catch(() => {});
    const size = header.size!;
    for (let at = 0; at < size;) {
      this.#options.signal.throwIfAborted();
      const wanted = Math.min(chunkSize, size - at);
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, at);
      if (bytesRead === 0) throw new CenoteError('failed', `${path} became shorter while it was copied (${size} to ${at} bytes)`);
      if (!entry.write(buffer.subarray(0, bytesRead))) await Promise.race([once(entry, 'drain'), ended]);
      at += bytesRead;
      this.#options.onBytes?.((this.#bytes += bytesRead));
    }
    entry.end(null);
    await ended;
  }

  #entry(header: EntryHeader): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#archive.entry(header, '', (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** Names are bytes to the kernel and text in an archive: one that is no text would arrive as another. */
const textOf = (bytes: Buffer, what: string): string => {
  if (isUtf8(bytes)) return bytes.toString();
  throw new CenoteError('failed', `cannot copy ${JSON.stringify(bytes.toString('latin1'))}: ${what} is not UTF-8`, { advice: 'rename it, or leave it out' });
};
