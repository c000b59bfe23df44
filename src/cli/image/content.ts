/** What an image is made of, as a tar stream: a directory, or an archive, which the agent also takes compressed with gzip or zstd. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { invalid } from '../../base/errors.ts';
import { packFiles } from '../archive/pack.ts';
import type { PackOptions } from '../archive/pack.ts';
import { whyNot } from '../why-not.ts';

/** `at` is where in the image a directory's contents go; archives already say it. */
export const contentOf = async (path: string, at: string, options: PackOptions): Promise<{ content: Readable; directory: boolean }> => {
  const stats = await stat(path).catch((error: unknown) => {
    throw invalid('--from', `cannot read ${path}: ${whyNot(error)}`);
  });
  const name = at
    .split('/')
    .filter((part) => part !== '')
    .join('/');
  if (stats.isDirectory()) return { content: packFiles([{ path, name }], options), directory: true };
  if (!stats.isFile()) throw invalid('--from', `${path} is neither a directory nor an archive`);
  const file = createReadStream(path, { highWaterMark: 256 * 1024 });
  let total = 0;
  file.on('data', (chunk) => options.onBytes?.((total += chunk.length)));
  file.pause();
  return { content: file, directory: false };
};
