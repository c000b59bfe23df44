/**
 * The process that governs while there is no agent (governor/stand-in.ts). It mostly waits, so it is kept small: what it has to know it is
 * told by whoever starts it, and it loads nothing that reads configurations.
 */
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { createLogger } from '../base/logger.ts';
import { standIn } from './governor/stand-in.ts';

const text = { type: 'string', default: '' } as const;
const { values } = parseArgs({ options: { instance: text, directory: text, run: text, journal: text } });
flushCompileCache(); // it ends only by being killed
await standIn({
  instance: values.instance,
  place: { directory: values.directory, runDirectory: values.run },
  journalPath: values.journal,
  logger: createLogger({ name: 'stand-in' }),
});
