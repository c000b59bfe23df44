/** An access key's secret: in a file of its owner's alone, or given to this process; never on a command line, which everybody on the host may read. */
import { createHmac } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { CenoteError, messageOf } from '../base/errors.ts';
import { secretPattern, secretVariable } from '../model/names.ts';
import type { Signer } from './signer.ts';

export interface AccessKeySource {
  accessKey: string;
  /** Undefined where the secret is given to the process itself. */
  secretFile?: string | undefined;
}

const largest = 1024;

export const openSecret = async ({ accessKey, secretFile }: AccessKeySource, given: string | undefined): Promise<Signer> => {
  const [where, text] = secretFile === undefined ? [secretVariable, given] : [secretFile, await readSecret(secretFile)];
  if (text === undefined)
    throw new CenoteError('unauthorized', `the secret of the access key ${accessKey} is in no file, and ${secretVariable} is not set`, {
      advice: `set it in the environment, or create the profile again with --secret-file`,
    });
  const secret = text.trim();
  if (!secretPattern.test(secret))
    throw new CenoteError('invalid_argument', `${where} holds no secret of an access key`, {
      advice: 'one is cenote_secret_ and 43 characters, as `account accesskey create` told it, and nothing else',
    });
  return { algorithm: 'hmac-sha256', keyPath: `accesskeys/${accessKey}`, sign: (data) => createHmac('sha256', secret).update(data).digest() };
};

const readSecret = async (path: string): Promise<string> => {
  try {
    await using file = await open(path, 'r');
    await demandOwnersAlone(file, path);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof CenoteError) throw cause;
    throw new CenoteError('invalid_argument', `the secret ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
};

/** Of the file that is then read. */
const demandOwnersAlone = async (file: FileHandle, path: string): Promise<void> => {
  const { mode, size, isFile } = await file.stat().then((found) => ({ mode: found.mode & 0o777, size: found.size, isFile: found.isFile() }));
  if (!isFile || size > largest) throw new CenoteError('invalid_argument', `${path} holds no secret: it is no file of at most ${largest} bytes`);
  if ((mode & 0o077) !== 0)
    throw new CenoteError('invalid_argument', `others may read the secret in ${path} (its mode is ${mode.toString(8).padStart(4, '0')})`, {
      advice: `chmod 600 ${path}; where others had it, make another access key`,
    });
};
