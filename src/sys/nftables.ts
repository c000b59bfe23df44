/**
 * nftables: by its own library, without a program being started, for whatever its language can say; and by messages of our own for what changes
 * with every machine, since the library reads all sets that there are before each transaction. All of one call is one transaction: all of it
 * happens or none.
 */
import koffi from 'koffi';
import { closeFd, declare, openFd, openFlags } from './libc.ts';
import { inNetworkNamespace } from './netns.ts';
import { NftSocket } from './nft-batch.ts';
import { changeElements } from './nft-messages.ts';
import type { ElementsChange } from './nft-messages.ts';
import { NftablesError } from './nftables-error.ts';
import { withoutSignals } from './signals.ts';

const setFdFlags = 2;
const cloexec = 1;
const fcntlFunction = declare('int fcntl(int fd, int command, int argument)');

/** The library waits with select(2), which ends the process at a descriptor beyond these. */
const mostDescriptors = 1024;

/** What changes a ruleset; see `Nftables`. */
export interface NftRunner {
  /** Commands in nft's language; gives back what was printed. */
  run(commands: string): string;
  /** Costs what it changes, however much else there is. */
  change(changes: readonly ElementsChange[]): void;
  hasTable(name: string): boolean;
}

/** A handle on the ruleset of the network namespace in which it was made. Not for use from several threads. */
export class Nftables implements NftRunner, Disposable {
  readonly #library = openLibrary();
  readonly #context: unknown;
  readonly #socket: NftSocket;
  #closed = false;

  constructor() {
    const next = lowestFree();
    if (next >= mostDescriptors) throw new Error(`nftables: all ${mostDescriptors} descriptors that the library can use are open`);
    const context: unknown = this.#library.create(0);
    // The library's socket would go on in every program that is started, and with it the namespace that it is in.
    fcntlFunction(next, setFdFlags, cloexec);
    if (context === null) throw new Error('nftables: the library gave no context');
    this.#library.bufferOutput(context);
    this.#library.bufferError(context);
    this.#context = context;
    this.#socket = new NftSocket();
  }

  run(commands: string): string {
    if (this.#closed) throw new Error('nftables: closed');
    if (commands.includes('\0')) throw new Error('nftables: a command contains NUL');
    // The library waits with select(2), which a signal ends (that of a child's end is enough), and then reports a transaction as failed that the
    // kernel has done.
    const result = withoutSignals(() => this.#library.run(this.#context, commands) as number);
    const output = this.#library.output(this.#context) as string | null;
    const errors = this.#library.errors(this.#context) as string | null;
    if (result !== 0) throw new NftablesError(errors ?? '');
    return output ?? '';
  }

  change(changes: readonly ElementsChange[]): void {
    this.#socket.commit(changes.flatMap(changeElements));
  }

  hasTable(name: string): boolean {
    return this.#socket.hasTable(name);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket[Symbol.dispose]();
    this.#library.free(this.#context);
  }
}

/** A handle on another network namespace's ruleset, opened for each transaction: there may be more namespaces than descriptors for the library. */
export class NftablesIn implements NftRunner {
  readonly #netnsFd: number;

  constructor(netnsFd: number) {
    this.#netnsFd = netnsFd;
  }

  run(commands: string): string {
    using nftables = inNetworkNamespace(this.#netnsFd, () => new Nftables());
    return nftables.run(commands);
  }

  change(changes: readonly ElementsChange[]): void {
    using socket = this.#socket();
    socket.commit(changes.flatMap(changeElements));
  }

  hasTable(name: string): boolean {
    using socket = this.#socket();
    return socket.hasTable(name);
  }

  #socket(): NftSocket {
    return inNetworkNamespace(this.#netnsFd, () => new NftSocket());
  }
}

/** The descriptor that the next file gets. */
const lowestFree = (): number => {
  const fd = openFd('/dev/null', openFlags.readOnly);
  closeFd(fd);
  return fd;
};

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
