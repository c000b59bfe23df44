/** What every command of src/setup is given: the instance, where its lines go, and Ctrl-C. */
import type { SetupOptions } from '../../setup/commands.ts';
import type { Context } from '../context.ts';

export const setupOptions = (context: Context, json: boolean): SetupOptions => ({
  root: context.config.root,
  json,
  line: (text) => context.output.line(text),
  note: (text) => context.output.note(text),
  signal: context.signal,
});
