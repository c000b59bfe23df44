/**
 * A file or directory of an untrusted root as a tar stream. The start is resolved by the kernel inside the root (links followed there,
 * never outside) and handed to bsdtar as an open descriptor; what is below is read with the machine's own ids and links are not followed.
 */
import { closeSync, fstatSync } from 'node:fs';
import { Readable } from 'node:stream';
import { CenoteError, invalid } from '../../base/errors.ts';
import { closeFd, isErrno, openFd, openFlags } from '../../sys/libc.ts';
import { openInRoot } from '../../sys/openat2.ts';
import type { Confinement } from './archive.ts';
import { ended, handedOver, startConfined } from './confined.ts';
import { blockSize, encodeHeader, paddingOf, zeroBlock } from './tar-format.ts';
import { TarReader } from './tar-reader.ts';

// Plain archives that any tar reads, and ours takes back: no attributes, lists or holes.
const plain = ['-c', '--format', 'gnutar', '--numeric-owner', '--no-acls', '--no-fflags', '--no-xattrs', '--no-read-sparse', '--one-file-system', '-f', '-'];

export const packFrom = (where: Confinement, signal: AbortSignal): Readable => {
  signal.throwIfAborted();
  const fd = openStart(where);
  try {
    const stat = fstatSync(fd);
    if (!stat.isDirectory() && !stat.isFile()) throw invalid('path', `${where.path} is neither a file nor a directory`);
    const operands = stat.isDirectory() ? ['-C', handedOver, '.'] : ['-H', '-P', handedOver];
    const child = startConfined(where.userNamespace, fd, [...plain, ...operands], ['ignore', 'pipe']);
    const stdout = child.stdout!;
    const stop = () => {
      child.kill('SIGKILL');
      stdout.destroy();
    };
    const bytes = stat.isDirectory() ? (stdout as AsyncIterable<Buffer>) : renamed(stdout, baseName(where.path));
    const end = ended(child);
    end.catch(() => {}); // looked at when the bytes are through
    return Readable.from(withVerdict({ bytes, letGo: () => stdout.destroy(), end, stop }, where.path, signal), {
      objectMode: false,
      highWaterMark: 256 * 1024,
    });
  } finally {
    closeSync(fd);
  }
};

const openStart = (where: Confinement): number => {
  if (!where.path.startsWith('/')) throw invalid('path', 'must be absolute');
  if (where.path.includes('\0')) throw invalid('path', 'must not contain a zero byte');
  const root = openFd(where.root, openFlags.path | openFlags.directory);
  try {
    return openInRoot(root, where.path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR'))
      throw new CenoteError('not_found', `there is no ${where.path}`, { fields: [{ field: 'path', message: 'not found' }] });
    if (isErrno(error, 'ELOOP', 'ENAMETOOLONG')) throw invalid('path', `${where.path} is a loop of links, or too long`);
    throw error;
  } finally {
    closeFd(root);
  }
};

const baseName = (path: string): string =>
  path
    .split('/')
    .filter((part) => part !== '')
    .at(-1) ?? 'file';

/** The one entry of the archive under another name: the program knows the file only as a descriptor. */
async function* renamed(source: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer, void> {
  const reader = new TarReader(source);
  const entry = await reader.next();
  if (entry === null) return;
  yield Buffer.concat(encodeHeader({ ...entry.header, name: Buffer.from(name) }, new Map()));
  yield* reader.body();
  yield Buffer.concat([zeroBlock.subarray(0, paddingOf(entry.header.size)), Buffer.alloc(2 * blockSize)]);
  for (let rest = await reader.next(); rest !== null; rest = await reader.next()) throw new CenoteError('internal', 'a packed file gave two entries');
}

/** What a running machine removes or cuts while it is read is no fault of the archive. */
const isPassing = (line: string): boolean => /No such file or directory|File shrank|Error exit delayed|skipping|socket/i.test(line);

interface Packing {
  bytes: AsyncIterable<Buffer>;
  /** Nothing more is read of them. */
  letGo: () => void;
  /** Of the program; it waits until all that it has written is read, or let go. */
  end: ReturnType<typeof ended>;
  stop: () => void;
}

async function* withVerdict({ bytes, letGo, end, stop }: Packing, path: string, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    let damage: unknown;
    try {
      yield* bytes;
    } catch (error) {
      // The program's own words say more; or whoever read has gone, and it would wait for him for ever.
      damage = error;
      letGo();
    }
    const { code, said } = await end;
    signal.throwIfAborted();
    const fault = said.find((line) => !isPassing(line));
    if (code !== 0 && (fault !== undefined || said.length === 0 || damage !== undefined)) {
      throw new CenoteError('failed', `${path} could not be read whole: ${fault ?? said[0] ?? 'bsdtar was ended'}`, {
        context: { stderr: said },
        cause: damage,
      });
    }
    if (damage !== undefined) throw damage;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}
