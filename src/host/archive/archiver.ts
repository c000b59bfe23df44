/** The real archiver: bsdtar, confined. */
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { isErrno } from '../../sys/libc.ts';
import type { Archiver, Confinement } from './archive.ts';
import type { NameRule } from './entry-check.ts';
import { packFrom } from './pack.ts';
import { unpackInto } from './unpack.ts';

export interface ArchiverOptions {
  logger: Logger;
}

/** As the contract, and with rules of its own about names: an image may not bring a top-level /usr. */
export interface RuledArchiver extends Archiver {
  unpack(...args: [...Parameters<Archiver['unpack']>, nameRule?: NameRule | undefined]): ReturnType<Archiver['unpack']>;
}

export const createArchiver = ({ logger }: ArchiverOptions): RuledArchiver => ({
  unpack: async (source, where, limits, signal, nameRule) => {
    const started = performance.now();
    const result = await unpackInto(source, where, limits, signal, nameRule).catch((error: unknown) => {
      throw rootGone(error, where);
    });
    logger.debug({ component: 'archive', path: where.path, ...result, ms: Math.round(performance.now() - started) }, 'unpacked');
    return result;
  },
  pack: async (where, signal) => {
    try {
      return packFrom(where, signal);
    } catch (error) {
      throw rootGone(error, where);
    }
  },
});

const rootGone = (error: unknown, where: Confinement): unknown =>
  isErrno(error, 'ENOENT', 'ENOTDIR', 'ESRCH')
    ? new CenoteError('wrong_state', 'the file system is not there: the machine has stopped', { cause: error, context: { root: where.root } })
    : error;
