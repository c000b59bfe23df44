/** Tells secondaries that a zone has a new version, until they have heard it: they then come and take it. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../base/logger.ts';
import { messageOf } from '../../base/errors.ts';
import { notifyMessage } from '../../dns/notify-message.ts';
import type { Zone } from '../../dns/zone.ts';

export interface Secondary {
  address: string;
  port: number;
}

export interface NotifierOptions {
  secondaries: readonly Secondary[];
  /** The address they know us by. */
  from: string;
  logger: Logger;
  signal: AbortSignal;
}

/** Changes that come in a row are told at once; those that go on, this often. */
const settleMs = 50;
const everyMs = 1000;
const attempts = 4;
const firstWaitMs = 1000;

export class Notifier {
  readonly #options: NotifierOptions;
  readonly #waiting = new Set<Zone>();
  readonly #heard = new Map<string, number>();
  #telling = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  tell(zones: readonly Zone[]): void {
    if (this.#options.secondaries.length === 0) return;
    for (const zone of zones) this.#waiting.add(zone);
    if (!this.#telling) void this.#work();
  }

  /** The version a secondary has last said to have heard of; undefined: none yet. */
  heard(secondary: Secondary, zone: string): number | undefined {
    return this.#heard.get(`${secondary.address} ${secondary.port} ${zone}`);
  }

  async #work(): Promise<void> {
    const { secondaries, signal } = this.#options;
    this.#telling = true;
    const pause = (ms: number) => sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
    await pause(settleMs);
    while (this.#waiting.size > 0 && !signal.aborted) {
      const zones = [...this.#waiting];
      this.#waiting.clear();
      // One that does not hear holds up no other, and not the next version either.
      for (const zone of zones) for (const secondary of secondaries) void this.#tellOne(secondary, zone);
      await pause(everyMs);
    }
    this.#telling = false;
  }

  async #tellOne(secondary: Secondary, zone: Zone): Promise<void> {
    const { from, logger, signal } = this.#options;
    const { serial } = zone;
    let waitMs = firstWaitMs;
    for (let attempt = 0; attempt < attempts && !signal.aborted && zone.serial === serial; attempt++, waitMs *= 2) {
      try {
        await notifyOnce(secondary, from, zone, waitMs);
        this.#heard.set(`${secondary.address} ${secondary.port} ${zone.name}`, serial);
        return;
      } catch (error) {
        logger.debug({ ...secondary, zone: zone.name, error: messageOf(error) }, 'a secondary was not told');
        await sleep(Math.min(waitMs, everyMs), undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
    if (!signal.aborted && zone.serial === serial) logger.warn({ ...secondary, zone: zone.name, serial }, 'a secondary does not hear of a new version');
  }
}

const notifyOnce = ({ address, port }: Secondary, from: string, zone: Zone, waitMs: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const id = randomInt(65_536);
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const settle = (error?: Error) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close();
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => settle(new Error('no answer')), waitMs);
    socket.on('error', settle);
    socket.on('message', (message) => {
      if (message.length < 12 || message.readUInt16BE(0) !== id || (message[2]! & 0x80) === 0) return;
      const code = message[3]! & 0x0f;
      settle(code === 0 ? undefined : new Error(`refused with code ${code}`));
    });
    socket.bind({ address: from }, () =>
      socket.connect(port, address, (error?: Error | null) => {
        // Where there is no way, Node says so here and not by an event.
        if (error) settle(error);
        else socket.send(notifyMessage(id, zone));
      }),
    );
  });
