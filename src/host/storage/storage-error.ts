/** What the kernel said about storage, as an error that a person and a program can use. */
import { CenoteError, asCenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';

const quotaErrno = 122;

/** Node has no name for EDQUOT: its own calls say UNKNOWN, with the number. */
export const isQuotaExceeded = (error: unknown): boolean =>
  isErrno(error, 'EDQUOT') || (error instanceof Error && 'errno' in error && Math.abs(Number(error.errno)) === quotaErrno);

export const storageError = (what: string, error: unknown): CenoteError => {
  if (error instanceof CenoteError) return error;
  if (isQuotaExceeded(error)) return new CenoteError('not_enough', `${what}: its quota is used up`, { cause: error });
  if (isErrno(error, 'ENOSPC'))
    return new CenoteError('not_enough', `${what}: the storage pool is full`, {
      cause: error,
      advice: 'delete machines, snapshots or images that are no longer needed',
    });
  if (isErrno(error, 'EROFS'))
    return new CenoteError('unavailable', `${what}: the storage pool has become read-only after an error; the kernel log says which`, { cause: error });
  if (isErrno(error, 'EBUSY', 'ETXTBSY')) return new CenoteError('in_use', `${what}: it is in use`, { cause: error });
  if (error instanceof Error && 'code' in error) return new CenoteError('failed', `${what}: ${error.message}`, { cause: error });
  return asCenoteError(error);
};

/** Runs a step and names it in what it throws. */
export const step = async <Result>(what: string, work: () => Promise<Result>): Promise<Result> => {
  try {
    return await work();
  } catch (error) {
    throw storageError(what, error);
  }
};
