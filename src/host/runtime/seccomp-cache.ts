/**
 * The compiled system call filter. crun compiles the profile at every create, which takes more time (13 ms) than all else it does;
 * it keeps the result beside its state and takes a ready one as an annotation. So the first machine pays, and the others reuse
 * what crun itself compiled of the very same profile.
 */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../sys/libc.ts';

const compiledName = 'seccomp.bpf';

export class SeccompCache {
  readonly #profile: object;
  readonly #file: string;
  #compiled: string | null;

  /** `directory` is emptied at a reboot, and so when the kernel may have changed. */
  constructor(profile: object, directory: string) {
    this.#profile = profile;
    this.#file = join(directory, `seccomp-${createHash('sha256').update(JSON.stringify(profile)).digest('hex').slice(0, 16)}`);
    this.#compiled = readIfPresent(this.#file)?.toString('base64') ?? null;
  }

  /** What of the specification says how system calls are filtered. */
  specification(): { annotations?: Record<string, string>; seccomp: object } {
    return { ...(this.#compiled === null ? {} : { annotations: { 'run.oci.seccomp_bpf_data': this.#compiled } }), seccomp: this.#profile };
  }

  /** After a create that used the profile: takes over what crun made of it. */
  learn(stateDirectory: string): void {
    if (this.#compiled !== null) return;
    const compiled = readIfPresent(join(stateDirectory, compiledName));
    // A filter is a list of 8-byte instructions; anything else is not what is meant here.
    if (compiled === null || compiled.length === 0 || compiled.length % 8 !== 0) return;
    writeFileSync(`${this.#file}.new`, compiled, { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
    this.#compiled = compiled.toString('base64');
  }
}

const readIfPresent = (path: string): Buffer | null => {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
};
