/**
 * Links that are done with. Deleting one takes the kernel 17-20 ms, a group of them hardly more: such a link joins the instance's delete group, and
 * the group goes in one request, later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../base/logger.ts';
import { demand } from '../../sys/netlink.ts';
import type { NetlinkSocket } from '../../sys/netlink.ts';
import * as message from './route-messages.ts';

/** Links that wait for their deletion are deleted after this time, or when there are so many: a batch of 60 holds the kernel's lock for 24 ms, of 16 for 4. */
const deleteDelayMs = 250;
const deleteCount = 24;
const goneRetryMs = 1;

export interface DoomedLinksOptions {
  instanceNumber: number;
  /** Deletes take long: on a socket of their own nothing waits behind them but other deletes. */
  openSocket: () => NetlinkSocket;
  logger: Logger;
}

export class DoomedLinks {
  readonly #logger: Logger;
  readonly #socket: NetlinkSocket;
  readonly group: number;
  #slots = new Set<number>();
  #deleting: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor({ instanceNumber, openSocket, logger }: DoomedLinksOptions) {
    this.#logger = logger;
    this.#socket = openSocket();
    this.group = 0x6364_0000 + instanceNumber;
  }

  has(slot: number): boolean {
    return this.#slots.has(slot);
  }

  /** Its link is in the group. */
  add(slot: number): void {
    this.#slots.add(slot);
    if (this.#slots.size >= deleteCount) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), deleteDelayMs).unref();
  }

  /** Deletes what waits for it; resolves when all links added before this call are gone. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#slots.size > 0) {
      const slots = this.#slots;
      this.#slots = new Set();
      this.#deleting = this.#deleting.then(() => this.#delete(slots));
    }
    return this.#deleting;
  }

  /**
   * As `flush`; resolves when the link `name` is gone inside. That is well before the kernel is done with it: it lets go of its lock, and then
   * waits until nobody can be looking at the link any more.
   */
  async flushOut(inside: NetlinkSocket, name: string): Promise<void> {
    let isDone = false;
    const flushed = this.flush().then(() => {
      isDone = true;
    });
    for (;;) {
      const [found] = await inside.send([message.getLink({ name })]);
      if (isDone || found!.code === 'ENODEV') return;
      await Promise.race([flushed, sleep(goneRetryMs)]);
    }
  }

  async close(): Promise<void> {
    await this.flush();
    this.#socket[Symbol.dispose]();
  }

  async #delete(slots: Set<number>): Promise<void> {
    try {
      demand('delete links', await this.#socket.send([message.deleteGroup(this.group)]), 'ENODEV');
    } catch (error) {
      this.#logger.error({ err: error, slots: [...slots] }, 'links could not be deleted; the next preparation of their slots tries again');
    }
  }
}
