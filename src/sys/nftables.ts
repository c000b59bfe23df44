/**
 * nftables through its own library: no program is started, and one transaction costs the kernel's work only, whatever the size
 * of the sets (a start of `nft` costs 4 ms). All commands of one call are one transaction: all of it happens or none. That work is a
 * millisecond in which the kernel waits; it is done on the thread pool.
 */
import koffi from 'koffi';
import { resultOf } from './libc.ts';

export class NftablesError extends Error {
  /** The kernel said that the thing is already there, or is not there; or a signal came in between. */
  readonly kind: 'exists' | 'missing' | 'interrupted' | 'other';
  /** All that the library said, with the commands at fault. */
  readonly details: string;

  constructor(details: string) {
    const line = /Error: (.*)/.exec(details)?.[1] ?? details.trim().split('\n')[0] ?? 'unknown error';
    super(`nftables: ${line}`);
    this.name = 'NftablesError';
    this.kind = kinds.find(([said]) => details.includes(said))?.[1] ?? 'other';
    this.details = details;
  }
}

const kinds = [
  ['File exists', 'exists'],
  ['No such file or directory', 'missing'],
  ['Interrupted system call', 'interrupted'],
] as const;

const mostAttempts = 10;

/** A handle on the ruleset of the network namespace in which it was made. Calls go one after another: the library's context is not for several threads. */
export class Nftables implements AsyncDisposable {
  readonly #library = openLibrary();
  readonly #context: unknown;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor() {
    const context: unknown = this.#library.create(0);
    if (context === null) throw new Error('nftables: the library gave no context');
    this.#library.bufferOutput(context);
    this.#library.bufferError(context);
    this.#context = context;
  }

  /** Runs commands in nft's language as one transaction and gives back what was printed. */
  run(commands: string): Promise<string> {
    if (commands.includes('\0')) throw new Error('nftables: a command contains NUL');
    const result = this.#last.then(() => this.#run(commands));
    this.#last = result.catch(() => {});
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    if (this.#closed) return;
    this.#closed = true;
    this.#library.free(this.#context);
  }

  async #run(commands: string): Promise<string> {
    if (this.#closed) throw new Error('nftables: closed');
    // A signal may end the library's wait (a profiler's did): what is asked for is added or removed by name, so it may be asked for again.
    for (let attempt = 1; ; attempt += 1) {
      const result = await resultOf(this.#library.run, this.#context, commands);
      const output = this.#library.output(this.#context) as string | null;
      const errors = this.#library.errors(this.#context) as string | null;
      if (result === 0) return output ?? '';
      const error = new NftablesError(errors ?? '');
      if (error.kind !== 'interrupted' || attempt === mostAttempts) throw error;
    }
  }
}

const openLibrary = () => {
  const library = koffi.load('libnftables.so.1');
  return {
    create: library.func('void* nft_ctx_new(uint32_t flags)'),
    free: library.func('void nft_ctx_free(void* context)'),
    bufferOutput: library.func('int nft_ctx_buffer_output(void* context)'),
    bufferError: library.func('int nft_ctx_buffer_error(void* context)'),
    run: library.func('int nft_run_cmd_from_buffer(void* context, const char* commands)'),
    output: library.func('const char* nft_ctx_get_output_buffer(void* context)'),
    errors: library.func('const char* nft_ctx_get_error_buffer(void* context)'),
  };
};
