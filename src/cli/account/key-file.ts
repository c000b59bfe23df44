/** An SSH public key, as a file holds it or as standard input gives it. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
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

/** The private key beside a public one, as `ssh-keygen` lays them. */
export const privateKeyOf = (path: string): string | undefined => {
  const beside = path.endsWith('.pub') ? resolve(path.slice(0, -'.pub'.length)) : undefined;
  return beside !== undefined && existsSync(beside) ? beside : undefined;
};
