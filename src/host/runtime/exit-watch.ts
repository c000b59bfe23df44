/**
 * Learning of ends. conmon writes a file named after the machine into one directory; one watch on it serves all machines. A sweep
 * every few seconds finds those whose monitor was killed and so left no file: one signal-0 a machine, a third of a microsecond each.
 */
import { readFileSync, readdirSync, rmSync, statSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../sys/libc.ts';
import type { RuntimeExit, RuntimeProcess } from './runtime.ts';

const sweepMs = 5000;

export class ExitWatch {
  readonly #directory: string;
  readonly #report: (exit: RuntimeExit) => void;
  readonly #running = new Map<string, RuntimeProcess>();
  readonly #watcher: FSWatcher;
  readonly #sweep: NodeJS.Timeout;

  constructor(directory: string, report: (exit: RuntimeExit) => void) {
    this.#directory = directory;
    this.#report = report;
    this.#watcher = watch(directory, (_event, name) => {
      if (name !== null) this.#look(name);
    });
    this.#sweep = setInterval(() => this.#sweepAll(), sweepMs).unref();
  }

  /** Before a machine is created: an old file must not end the new run. */
  clear(machine: string): void {
    this.#running.delete(machine);
    rmSync(join(this.#directory, machine), { force: true });
  }

  /** At start: files of machines that nobody asks about any more go. */
  keepOnly(machines: readonly string[]): void {
    const kept = new Set(machines);
    for (const name of readdirSync(this.#directory)) if (!kept.has(name)) rmSync(join(this.#directory, name), { force: true });
  }

  add(machine: string, process: RuntimeProcess): void {
    this.#running.set(machine, process);
    this.#look(machine);
  }

  get(machine: string): RuntimeProcess | undefined {
    return this.#running.get(machine);
  }

  close(): void {
    this.#watcher.close();
    clearInterval(this.#sweep);
  }

  #look(machine: string): void {
    const process = this.#running.get(machine);
    if (process === undefined) return;
    const path = join(this.#directory, machine);
    try {
      const code = Number.parseInt(readFileSync(path, 'utf8'), 10);
      if (Number.isNaN(code)) return; // created, not written yet: the write is another event
      this.#end(machine, code, statSync(path).mtime);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }

  #sweepAll(): void {
    for (const [machine, { pid }] of this.#running) {
      if (alive(pid)) continue;
      this.#look(machine);
      // Neither process nor file, though the monitor had time to write one: it was killed. How the machine ended is unknown.
      const left = this.#running.get(machine);
      if (left !== undefined && !alive(left.monitorPid)) this.#end(machine, 255, new Date());
    }
  }

  #end(machine: string, code: number, at: Date): void {
    this.#running.delete(machine);
    this.#report({ machine, code, at: at.toISOString() });
  }
}

export const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isErrno(error, 'ESRCH');
  }
};
