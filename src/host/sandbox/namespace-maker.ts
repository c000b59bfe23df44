/** The helper that makes namespaces (nsmaker.pl), as a queue of requests and answers over its pipes. Restarted when it dies. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { start } from '../../exec/run.ts';
import { closeFd, openFd, openFlags } from '../../sys/libc.ts';

const script = new URL('./nsmaker.pl', import.meta.url).pathname;

interface Waiting {
  resolve: (answer: string) => void;
  reject: (error: Error) => void;
}

export class NamespaceMaker {
  readonly #logger: Logger;
  #child: ChildProcess | null = null;
  #waiting: Waiting[] = [];

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Open descriptors of a new user namespace for `uidBase` and of a network namespace inside it. */
  async pair(uidBase: number): Promise<{ userFd: number; networkFd: number }> {
    return this.#hold(`pair ${uidBase}`, (pid) => {
      const userFd = openFd(`/proc/${pid}/ns/user`, openFlags.readOnly);
      try {
        return { userFd, networkFd: openFd(`/proc/${pid}/ns/net`, openFlags.readOnly) };
      } catch (error) {
        closeFd(userFd);
        throw error;
      }
    });
  }

  /** A descriptor of a user namespace with the same mapping that also maps host 0, for idmapped mounts only. */
  async idmap(uidBase: number): Promise<number> {
    return this.#hold(`idmap ${uidBase}`, (pid) => openFd(`/proc/${pid}/ns/user`, openFlags.readOnly));
  }

  /** In the mount namespace of `pid`: read-only binds of host paths, in place of what is at their destinations. Paths hold no blanks. */
  async rebind(pid: number, binds: readonly { source: string; destination: string }[]): Promise<void> {
    await this.#ask(`rebind ${pid} ${binds.map(({ source, destination }) => `${source} ${destination}`).join(' ')}`);
  }

  close(): void {
    this.#child?.stdin?.end();
  }

  async #hold<T>(request: string, open: (pid: number) => T): Promise<T> {
    const pid = Number(await this.#ask(request));
    try {
      return open(pid);
    } finally {
      await this.#ask(`done ${pid}`);
    }
  }

  async #ask(request: string): Promise<string> {
    const child = this.#child ?? this.#start();
    const answer = await new Promise<string>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      child.stdin!.write(`${request}\n`);
    });
    if (answer.startsWith('error')) throw new CenoteError('failed', `namespaces could not be made: ${answer.slice(6)}`, { context: { request } });
    return answer;
  }

  #start(): ChildProcess {
    const child = start('/usr/bin/perl', [script], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    child.stdin!.on('error', () => {}); // its end is handled below
    createInterface({ input: child.stdout! }).on('line', (line) => this.#waiting.shift()?.resolve(line));
    createInterface({ input: child.stderr! }).on('line', (line) => this.#logger.warn({ line }, 'namespace maker'));
    const ended = (reason: string) => {
      if (this.#child !== child) return;
      this.#child = null;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const { reject } of waiting) reject(new CenoteError('unavailable', `the namespace maker ended: ${reason}`));
    };
    child.on('error', (error) => ended(error.message));
    child.on('exit', (code, signal) => ended(signal ?? `code ${code}`));
    return child;
  }
}
