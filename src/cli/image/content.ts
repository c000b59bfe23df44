/** What an image is made of, as a plain tar stream: a directory, or an archive that may be compressed. */
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { invalid, messageOf } from '../../base/errors.ts';
import { packFiles } from '../archive/pack.ts';
import type { PackOptions } from '../archive/pack.ts';

/** `at` is where in the image a directory's contents go; archives already say it. */
export const contentOf = async (path: string, at: string, options: PackOptions): Promise<{ content: Readable; directory: boolean }> => {
  const stats = await stat(path).catch((error: unknown) => {
    throw invalid('--from', `cannot read ${path}: ${messageOf(error)}`);
  });
  if (stats.isDirectory())
    return {
      content: packFiles(
        [
          {
            path,
            name: at
              .split('/')
              .filter((part) => part !== '')
              .join('/'),
          },
        ],
        options,
      ),
      directory: true,
    };
  if (!stats.isFile()) throw invalid('--from', `${path} is neither a directory nor an archive`);
  const file = createReadStream(path, { highWaterMark: 256 * 1024 });
  let total = 0;
  file.on('data', (chunk) => options.onBytes?.((total += chunk.length)));
  file.pause();
  return { content: await decompressed(path, file), directory: false };
};

const decompressed = async (path: string, file: Readable): Promise<Readable> => {
  const { createGunzip, createZstdDecompress } = await import('node:zlib');
  const start = await firstBytes(path);
  const through = start.startsWith('1f8b') ? createGunzip() : start.startsWith('28b52ffd') ? createZstdDecompress() : undefined;
  if (start.startsWith('fd377a585a') || start.startsWith('425a68'))
    throw invalid('--from', `${path} is compressed with xz or bzip2`, 'unpack it first, or compress it with gzip or zstd');
  if (through === undefined) return file;
  file.on('error', (error) => through.destroy(error));
  return file.pipe(through);
};

const firstBytes = async (path: string): Promise<string> => {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(6), 0, 6, 0);
  return buffer.subarray(0, bytesRead).toString('hex');
};
