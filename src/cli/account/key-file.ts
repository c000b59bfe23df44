/** An SSH public key, as a file holds it or as standard input gives it. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { messageOf } from '../../base/errors.ts';
import { invalid } from '../../base/errors.ts';

const largest = 16_384;

export const readKeyFile = async (field: string, path: string): Promise<string> => {
  let content: string;
  try {
    content = path === '-' ? await text(process.stdin) : await readFile(path, 'utf8');
  } catch (error) {
    throw invalid(field, `${path} cannot be read: ${messageOf(error)}`);
  }
  if (content.length > largest) throw invalid(field, `${path} is no SSH public key: it is larger than ${largest} bytes`);
  return content;
};
