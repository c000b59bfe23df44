/**
 * A program as a sealed copy in memory. Container runtimes make such a copy of themselves at every start and execute it, lest a container
 * write to the program through /proc/self/exe (CVE-2019-5736); one that finds itself in a sealed copy already goes on at once. The copy is
 * made again when the program on disk has changed.
 */
import { closeSync, readFileSync, statSync, writeSync } from 'node:fs';
import { checked, declare } from './libc.ts';

const memfdCreate = declare('int memfd_create(const char* name, unsigned int flags)');
const fcntlFunction = declare('int fcntl(int fd, int command, int value)');

const closeOnExec = 1;
const allowSealing = 2;
/** Said outright where the kernel knows it (6.3); elsewhere a memfd may be executed anyway. */
const executable = 0x10;
const addSeals = 1033;
/** No more seals, no shrinking, no growing, no writing. */
const everySeal = 1 | 2 | 4 | 8;

export class SealedProgram implements Disposable {
  readonly #path: string;
  #copy: { fd: number; of: string } | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** A path to execute now, while this process lives: the copy's, or the program's own where none can be made. */
  path(): string {
    const { mtimeMs, size, ino } = statSync(this.#path);
    const of = `${ino} ${size} ${mtimeMs}`;
    if (this.#copy?.of !== of) {
      this[Symbol.dispose]();
      const fd = sealedCopy(this.#path);
      if (fd === null) return this.#path;
      this.#copy = { fd, of };
    }
    return `/proc/${process.pid}/fd/${this.#copy.fd}`;
  }

  [Symbol.dispose](): void {
    if (this.#copy !== null) closeSync(this.#copy.fd);
    this.#copy = null;
  }
}

const sealedCopy = (path: string): number | null => {
  let fd = memfdCreate('sealed-program', closeOnExec | allowSealing | executable) as number;
  if (fd < 0) fd = memfdCreate('sealed-program', closeOnExec | allowSealing) as number;
  if (fd < 0) return null;
  try {
    const content = readFileSync(path);
    for (let at = 0; at < content.length;) at += writeSync(fd, content, at);
    checked('seal a copy', fcntlFunction(fd, addSeals, everySeal) as number);
    return fd;
  } catch {
    closeSync(fd);
    return null;
  }
};
