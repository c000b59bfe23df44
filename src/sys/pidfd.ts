/** A process by a descriptor of it, which never comes to mean a later one that was given the same number. */
import { callAsync, checked, closeFd, declare, isErrno } from './libc.ts';

// The same numbers on every architecture.
const sendSignalNumber = 424;
const openNumber = 434;
const releaseNumber = 448;
const killSignal = 9;

const openCall = declare('long syscall(long number, int pid, unsigned int flags)');
const sendSignalCall = declare('long syscall(long number, int fd, int signal, void* info, unsigned int flags)');
const releaseCall = declare('long syscall(long number, int fd, unsigned int flags)');

export class ProcessHandle implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Null when there is none. */
  static open(pid: number): ProcessHandle | null {
    const fd = orEnded(() => checked(`pidfd_open ${pid}`, openCall(openNumber, pid, 0) as number));
    return fd === null ? null : new ProcessHandle(fd);
  }

  /** False when it has ended. */
  kill(): boolean {
    return orEnded(() => checked('pidfd_send_signal', sendSignalCall(sendSignalNumber, this.#fd, killSignal, null, 0) as number)) !== null;
  }

  /**
   * Gives back the memory of one that was killed, here and now: by itself it does that when it runs next, which on a busy host takes a while.
   * Where the kernel cannot (before 5.15), or it has been done, nothing happens.
   */
  async releaseMemory(): Promise<void> {
    await callAsync('process_mrelease', releaseCall, releaseNumber, this.#fd, 0).catch(() => {});
  }

  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}

const orEnded = <Result>(call: () => Result): Result | null => {
  try {
    return call();
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return null;
    throw error;
  }
};
