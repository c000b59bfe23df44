/** Keeping signals from a thread while C code runs in it that does not bear to be interrupted. */
import { SystemCallError, declare } from './libc.ts';

const maskFunction = declare('int pthread_sigmask(int how, const void* set, void* former)');

const how = { block: 0, restore: 2 } as const;
/** Larger than glibc's sigset_t (128 bytes). */
const setBytes = 256;
const everySignal = Buffer.alloc(setBytes, 0xff);
const scratch = Buffer.alloc(setBytes);

const mask = (change: number, set: Buffer, former: Buffer | null): void => {
  const error = maskFunction(change, set, former) as number; // given back; errno is not set
  if (error !== 0) throw new SystemCallError('pthread_sigmask', error);
};

/** Calls `work` with no signal coming to this thread; those that came meanwhile are heard afterwards. */
export const withoutSignals = <Result>(work: () => Result): Result => {
  mask(how.block, everySignal, scratch);
  const former = Buffer.from(scratch);
  try {
    return work();
  } finally {
    mask(how.restore, former, null);
  }
};
