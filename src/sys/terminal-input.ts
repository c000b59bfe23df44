/**
 * Writing to the controlling end of a terminal without ever waiting for who should read at the other. Node writes to terminals blockingly: a
 * program in a machine that reads nothing would stop the thread that serves everybody.
 */
import { writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { checked, declare, isErrno } from './libc.ts';

const [getFlags, setFlags, nonBlocking] = [3, 4, 0o4000];
const fcntlFunction = declare('int fcntl(int fd, int command, int value)');

const firstWaitMs = 5;
const longestWaitMs = 100;

/** Must be destroyed before the descriptor is closed. */
export class TerminalInput extends Writable {
  readonly #fd: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(fd: number) {
    super({ decodeStrings: true });
    this.#fd = fd;
    const flags = checked('fcntl F_GETFL', fcntlFunction(fd, getFlags, 0) as number);
    checked('fcntl F_SETFL', fcntlFunction(fd, setFlags, flags | nonBlocking) as number);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#push(chunk, firstWaitMs, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }

  /** The kernel tells nobody of room at a terminal whose reader is slow but by trying. */
  #push(rest: Buffer, waitMs: number, done: (error?: Error | null) => void): void {
    if (this.destroyed) return;
    let count = 0;
    try {
      count = writeSync(this.#fd, rest);
    } catch (error) {
      if (!isErrno(error, 'EAGAIN')) {
        done(error as Error);
        return;
      }
    }
    if (count === rest.length) {
      done();
      return;
    }
    const next = count > 0 ? firstWaitMs : Math.min(waitMs * 2, longestWaitMs);
    this.#timer = setTimeout(() => this.#push(rest.subarray(count), next, done), count > 0 ? 0 : waitMs);
  }
}
