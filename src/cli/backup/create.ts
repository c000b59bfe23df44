import { createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { CenoteError, messageOf } from '../../base/errors.ts';
import { formatMib, mibOfBytes } from '../../base/units.ts';
import { defineCommand, one } from '../command.ts';

export const command = defineCommand({
  detail: [
    "Names, tags, packages, accounts, jobs and audit, as of one moment, while everything goes on; compressed with gzip. Machines' data is not in it.",
    'FILE must not be there yet, and only you can read it: it has the environments and metadata of machines. - writes to standard output.',
  ].join('\n'),
  args: { file: one('FILE', 'file') },
  flags: {},
  examples: ['backup create store.backup', 'backup create - | ssh safe "cat > store.backup"'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    const copy = await control.backup({ signal: context.signal });
    if (args.file === '-') return pipeline(copy, process.stdout, { end: false });
    try {
      await pipeline(copy, createWriteStream(args.file, { flags: 'wx', mode: 0o600, flush: true }));
    } catch (error) {
      const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
      if (exists) throw new CenoteError('already_exists', `${args.file} is there already`, { advice: 'choose another name: a copy is never written over' });
      await rm(args.file, { force: true });
      if (error instanceof CenoteError) throw error;
      throw new CenoteError('failed', `the copy could not be written to ${args.file}: ${messageOf(error)}`, { cause: error });
    }
    const { size } = await stat(args.file);
    if (flags.json) context.output.json({ file: args.file, bytes: size });
    else context.output.line(`wrote ${args.file} (${formatMib(mibOfBytes(size))})`);
    return undefined;
  },
});
