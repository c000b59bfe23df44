/**
 * The group of machines' monitors, beside the machines: what they use is then neither a machine's nor the agent's, and nothing that is done
 * to the agent's own group reaches them. A monitor is moved as soon as it has been started, through descriptors that are held open, so that
 * it has used hardly any memory and not yet divided.
 */
import { closeSync, existsSync, openSync, readFileSync, write as writeDescriptor } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isErrno } from '../../sys/libc.ts';
import { makeGroup, write } from './files.ts';
import { monitorsName } from './parent.ts';

const writeTo = promisify(writeDescriptor);

/** What all monitors together weigh among machines: they sleep, and what they do is short, as with the kernel's own default on v1. */
export const monitorsMillis = 1000;

export class Monitors implements Disposable {
  readonly #directories: string[];
  readonly #path: string;
  readonly #settings: Readonly<Record<string, number>>;
  readonly #lists: number[] = [];

  /** `settings`: control files that the group is to have, by name. */
  constructor(trees: readonly string[], parent: string, settings: Readonly<Record<string, number>>) {
    this.#path = join(parent, monitorsName);
    this.#settings = settings;
    this.#directories = trees.map((tree) => join(tree, this.#path));
    this.#open();
  }

  /** With all its threads; nothing when it is there already, or has ended. */
  async admit(pid: number): Promise<void> {
    try {
      if (!this.#has(pid)) await this.#move(pid);
    } catch (error) {
      if (!isErrno(error, 'ESRCH', 'ENOENT')) throw error;
    }
  }

  async #move(pid: number): Promise<void> {
    try {
      for (const list of this.#lists) await writeTo(list, String(pid));
    } catch (error) {
      // Empty groups may be taken away by who looks after the one above them.
      if (!isErrno(error, 'ENODEV')) throw error;
      this[Symbol.dispose]();
      this.#open();
      for (const list of this.#lists) await writeTo(list, String(pid));
    }
  }

  #open(): void {
    for (const directory of this.#directories) {
      makeGroup(directory);
      for (const [file, value] of Object.entries(this.#settings)) if (existsSync(join(directory, file))) write(directory, file, value);
      this.#lists.push(openSync(join(directory, 'cgroup.procs'), 'w'));
    }
  }

  #has(pid: number): boolean {
    const found = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
    return found.filter((line) => line.endsWith(`:${this.#path}`)).length >= this.#lists.length;
  }

  [Symbol.dispose](): void {
    for (const list of this.#lists.splice(0)) closeSync(list);
  }
}
