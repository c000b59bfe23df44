/** Copies of the store: made while it is used, compressed; and put back, from either database into either. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { CenoteError, invalid } from '../../base/errors.ts';
import { authorize } from '../context.ts';
import type { RequestContext } from '../context.ts';
import type { Store } from '../store.ts';
import { sealed, unsealed } from './format.ts';
import type { Restored } from './restore.ts';

export const backupCreate = (context: RequestContext, store: Store): Readable => {
  authorize(context, 'operate');
  const lines = Readable.from(sealed({ cenoteBackup: 1, createdAt: new Date().toISOString(), schema: store.schema }, store.dump()));
  const compressed = createGzip();
  // What goes wrong ends the compressed stream with it.
  pipeline(lines, compressed).catch(() => undefined);
  return compressed;
};

/** The store takes nothing more afterwards: the process must begin anew. */
export const backupRestore = async (context: RequestContext, store: Store, source: Readable): Promise<Restored> => {
  authorize(context, 'operate');
  const plain = createGunzip();
  pipeline(source, plain).catch(() => undefined);
  try {
    return await store.replace(await unsealed(plain));
  } catch (error) {
    if (error instanceof CenoteError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code.startsWith('Z_')) throw invalid('backup', 'this is not a copy of a store: it is not compressed with gzip, or damaged');
    throw error;
  }
};
