/** Texts that come from files. */
import { readFile } from 'node:fs/promises';
import { text as streamText } from 'node:stream/consumers';
import { invalid } from '../base/errors.ts';
import { whyNot } from './why-not.ts';

export const readText = (field: string, path: string): Promise<string> =>
  readFile(path, 'utf8').catch((error: unknown) => {
    throw invalid(field, `cannot read ${path}: ${whyNot(error)}`);
  });

/** `@FILE` is what is in the file, `@-` what comes on standard input. */
export const readValue = async (field: string, text: string): Promise<string> => {
  if (!text.startsWith('@')) return text;
  return text === '@-' ? streamText(process.stdin) : readText(field, text.slice(1));
};
