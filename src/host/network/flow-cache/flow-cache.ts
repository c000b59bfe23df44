/**
 * Flows of datagrams between machines of one network that the kernel has let through, learnt by itself, so that what follows is spared rules,
 * table of flows and routes (programs.ts says how). It holds for a second, and for as long as nothing changes: whoever changes anything that a
 * packet is judged or led by calls `forget` when the change is done, and all that was learnt before is known no more. An agent that says nothing for
 * some seconds, being dead or busy, is not waited for: everything goes the usual way until it is back.
 */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { CenoteError } from '../../../base/errors.ts';
import type { Family } from '../../../model/address.ts';
import { createMap, loadProgram, writeElement } from '../../../sys/bpf.ts';
import { isKernelSince } from '../../../sys/kernel.ts';
import { closeFd } from '../../../sys/libc.ts';
import { NetlinkSocket, demand, netlinkProtocols } from '../../../sys/netlink.ts';
import type { NetlinkRequest } from '../../../sys/netlink.ts';
import { createNetworkNamespace, inNetworkNamespace } from '../../../sys/netns.ts';
import { loopbackIndex } from '../route-messages.ts';
import { addBlocks, removeBlocks, setProgram } from './filter-messages.ts';
import { entriesFor, entryBytes, incoming, outgoing, placeBits, state, stateBytes } from './programs.ts';
import type { ProgramsOptions } from './programs.ts';

const aliveForNs = 6_000_000_000n;
const aliveEveryMs = 2000;
/** Since then what is handed to a link's inner end is counted there. */
const leastKernel = [6, 7] as const;
/** Of all processors together, also those that the host could get later: the kernel makes room for each. */
const mostBytes = 16 * 1024 * 1024;

export class FlowCache implements Disposable {
  readonly #cacheFd: number;
  readonly #stateFd: number;
  readonly #bits = bitsFor(possibleProcessors());
  readonly #timer: NodeJS.Timeout;
  #generation = 1n;
  #segments = 0;

  private constructor() {
    this.#cacheFd = createMap({ kind: 'perCpuArray', name: 'cenote_flows', valueBytes: entryBytes, entries: entriesFor(this.#bits) });
    this.#stateFd = createMap({ kind: 'array', name: 'cenote_state', valueBytes: stateBytes, entries: 1 });
    this.#say();
    this.#timer = setInterval(() => this.#say(), aliveEveryMs).unref();
  }

  /** Throws where this kernel cannot. */
  static async open(): Promise<FlowCache> {
    if (!isKernelSince(...leastKernel)) throw new CenoteError('unsupported', `that takes Linux ${leastKernel.join('.')}, and this is ${release()}`);
    const cache = new FlowCache();
    try {
      await cache.#try();
      return cache;
    } catch (error) {
      cache[Symbol.dispose]();
      throw error;
    }
  }

  /** Something has changed: nothing that was learnt until now counts. */
  forget(): void {
    this.#generation += 1n;
    this.#say();
  }

  /** The programs of one network's links. `block`: of two numbers that no other network in the same namespace has, the first. */
  programs(family: Family, block: number): LinkPrograms {
    this.#segments += 1;
    return new LinkPrograms(block, { family, cacheFd: this.#cacheFd, stateFd: this.#stateFd, bits: this.#bits, segment: this.#segments });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    closeFd(this.#cacheFd);
    closeFd(this.#stateFd);
  }

  #say(): void {
    const value = Buffer.alloc(stateBytes);
    value.writeBigUInt64LE(process.hrtime.bigint() + aliveForNs, state.until);
    value.writeBigUInt64LE(this.#generation, state.generation);
    writeElement(this.#stateFd, 0, value);
  }

  /** All that it takes, in a namespace that nobody is in. */
  async #try(): Promise<void> {
    const netnsFd = createNetworkNamespace();
    try {
      using socket = inNetworkNamespace(netnsFd, () => new NetlinkSocket(netlinkProtocols.route));
      using programs = this.programs(4, 1);
      demand('try the programs', await socket.send(programs.attach(loopbackIndex, true)));
    } finally {
      closeFd(netnsFd);
    }
  }
}

/** What a network's links are to be told, as messages. */
export class LinkPrograms implements Disposable {
  readonly #family: Family;
  readonly #blocks: { incoming: number; outgoing: number };
  readonly #incomingFd: number;
  readonly #outgoingFd: number;

  constructor(block: number, options: ProgramsOptions) {
    this.#family = options.family;
    this.#blocks = { incoming: block, outgoing: block + 1 };
    this.#incomingFd = loadProgram('cenote_incoming', incoming(options));
    this.#outgoingFd = loadProgram('cenote_outgoing', outgoing(options));
  }

  /** Harmless where it is so already: EEXIST. Flows to a link that does not learn go the usual way: by its queue, where it has one. */
  attach(link: number, learns: boolean): NetlinkRequest[] {
    const { incoming: from, outgoing: to } = this.#blocks;
    return [addBlocks(link, learns ? this.#blocks : { incoming: from }), ...this.#set('add', learns ? [from, to] : [from])];
  }

  /** Harmless where there are none: ENOENT, EINVAL. */
  detach(link: number): NetlinkRequest[] {
    return [removeBlocks(link)];
  }

  /** In place of those that a former agent has left, which go by what nobody tells them any more. Harmless where it has left none: EINVAL. */
  replace(): NetlinkRequest[] {
    return this.#set('replace', [this.#blocks.incoming, this.#blocks.outgoing]);
  }

  [Symbol.dispose](): void {
    closeFd(this.#incomingFd);
    closeFd(this.#outgoingFd);
  }

  #set(verb: 'add' | 'replace', blocks: readonly number[]): NetlinkRequest[] {
    return blocks.map((block) => {
      const isIncoming = block === this.#blocks.incoming;
      return setProgram(verb, block, this.#family, isIncoming ? 'cenote incoming' : 'cenote outgoing', isIncoming ? this.#incomingFd : this.#outgoingFd);
    });
  }
}

/** `0-3`, or a list of such. */
const possibleProcessors = (): number => Number(/(\d+)\s*$/.exec(readFileSync('/sys/devices/system/cpu/possible', 'latin1'))![1]) + 1;

const bitsFor = (processors: number): number => {
  let bits: number = placeBits.most;
  while (bits > placeBits.least && entriesFor(bits) * entryBytes * processors > mostBytes) bits -= 1;
  return bits;
};
