/** A file for a secret: new, and for its owner's eyes only. */
import { open, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CenoteError, invalid } from '../../base/errors.ts';
import { whyNot } from '../why-not.ts';

export interface NewSecretFile extends AsyncDisposable {
  path: string;
  keep(secret: string): Promise<void>;
}

/** It is there before the secret is, which is told once: gone again unless something was kept in it. */
export const newSecretFile = async (field: string, asked: string): Promise<NewSecretFile> => {
  const path = resolve(asked);
  const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw invalid(field, `${path} cannot be made: ${whyNot(error)}`);
  });
  let kept = false;
  return {
    path,
    keep: async (secret) => {
      try {
        await file.writeFile(`${secret}\n`);
        await file.sync();
      } catch (cause) {
        throw new CenoteError('failed', `${path} cannot be written: ${whyNot(cause)}`, { cause });
      }
      kept = true;
    },
    [Symbol.asyncDispose]: async () => {
      await file.close();
      if (!kept) await rm(path, { force: true });
    },
  };
};
