/** Copying an app's code into `/app` of a machine: one stream, one line of progress. */
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { invalid } from '../../base/errors.ts';
import { formatMib, mibOfBytes } from '../../base/units.ts';
import type { Context } from '../context.ts';
import { whyNot } from '../why-not.ts';

export const codePath = '/app';

/** Before anything is made: the directory must be there. */
export const checkCode = async (path: string): Promise<void> => {
  const stats = await stat(path).catch((error: unknown) => {
    throw invalid('--code', `cannot read ${path}: ${whyNot(error)}`);
  });
  if (!stats.isDirectory()) throw invalid('--code', `${path} is not a directory`);
};

export const copyCode = async (context: Context, machineId: string, directory: string): Promise<void> => {
  const control = await context.control();
  await control.filesPut(machineId, codePath, await packCode(context, directory), { signal: context.signal });
};

/** As a tar stream; how much has gone is told until it ends. */
export const packCode = async ({ output, signal }: Context, directory: string): Promise<Readable> => {
  const { packFiles } = await import('../archive/pack.ts');
  const progress = output.progress(`copying ${directory}`);
  const content = packFiles([{ path: directory, name: '' }], {
    signal,
    onBytes: (total) => progress.update(`copying ${directory}: ${formatMib(mibOfBytes(total))}`),
    onSkipped: (path) => output.note(`skipped ${path}: neither a file, a directory nor a link`),
  });
  return content.once('close', () => progress[Symbol.dispose]());
};
