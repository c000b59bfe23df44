/** Copying an app's code into `/app` of a machine: one stream, one line of progress. */
import { stat } from 'node:fs/promises';
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
  const { packFiles } = await import('../archive/pack.ts');
  const control = await context.control();
  using progress = context.output.progress(`copying ${directory}`);
  const content = packFiles([{ path: directory, name: '' }], {
    signal: context.signal,
    onBytes: (total) => progress.update(`copying ${directory}: ${formatMib(mibOfBytes(total))}`),
    onSkipped: (path) => context.output.note(`skipped ${path}: neither a file, a directory nor a link`),
  });
  await control.filesPut(machineId, codePath, content, { signal: context.signal });
};
