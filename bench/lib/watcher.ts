/** A machine that keeps asking another by datagrams, and says when answers begin and when they cease. */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { CreateMachine, Machine } from '../../src/model/control-api.ts';
import type { BenchInstance } from './instance.ts';

const port = 90;
/** So long without an answer, and they have ceased. */
const silenceMs = 40;

export const echoCommand = [
  'node',
  '-e',
  `const u = require('node:dgram').createSocket('udp4'); u.on('message', (m, f) => u.send(m, f.port, f.address)); u.bind(${port}); require('node:net').createServer((s) => { s.on('error', () => {}); s.on('data', (d) => d[0] === 1 ? s.end('.') : s.write('.')); }).listen(${port})`,
];

const watcherScript = (address: string): string => `
  const u = require('node:dgram').createSocket('udp4');
  const now = () => performance.timeOrigin + performance.now();
  let last = 0, open = false;
  u.on('message', () => { last = now(); if (!open) console.log('open ' + last); open = true; });
  u.on('error', () => {});
  setInterval(() => { u.send('x', ${port}, '${address}'); if (open && now() - last > ${silenceMs}) { open = false; console.log('closed ' + last); } }, 1);`;

export const watcherMachine = (name: string, watched: Machine, more: Partial<CreateMachine>): CreateMachine => ({
  name,
  image: 'node',
  command: ['node', '-e', watcherScript(watched.address)],
  ...more,
});

const timeoutMs = 10_000;

/** What a watcher says, from now on. */
export class Watch implements AsyncDisposable {
  readonly #stop: AbortController;
  readonly #reading: Promise<void>;
  #waiting: { word: string; resolve: (at: number) => void } | undefined;

  /** It is listened to when this resolves: what it said before nobody would hear. */
  static async of({ client }: BenchInstance, id: string): Promise<Watch> {
    const stop = new AbortController();
    return new Watch(await client.logs(id, { follow: true, tail: 0 }, { signal: stop.signal }), stop);
  }

  private constructor(stream: Readable, stop: AbortController) {
    this.#stop = stop;
    this.#reading = (async () => {
      for await (const line of createInterface({ input: stream })) {
        const [word = '', at] = (line === '' ? '' : (JSON.parse(line) as { text: string }).text).split(' ');
        if (word === this.#waiting?.word) this.#waiting.resolve(Number(at));
      }
    })().catch(() => {});
  }

  /** From the beginning of the action to when answers are `open` or `closed`. */
  async after(word: 'open' | 'closed', action: () => Promise<unknown>): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting = { word, resolve };
    const timer = setTimeout(() => reject(new Error(`it was not ${word} within ${timeoutMs / 1000} s`)), timeoutMs);
    const begun = performance.timeOrigin + performance.now();
    try {
      const [at] = await Promise.all([promise, action()]);
      return at - begun;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }
}

/** Run in a machine by exec: connections a second to another, and MB/s on one, for a moment each. */
export const trafficScript = (address: string): string => `
  const net = require('node:net');
  const end = performance.now() + 1500;
  let count = 0;
  const next = () => {
    if (performance.now() > end) return flood();
    const s = net.connect(${port}, '${address}', () => s.write(Buffer.from([1])));
    s.on('data', () => { count += 1; }); s.on('close', next); s.on('error', (e) => { console.log('failed ' + e.code); process.exit(1); });
  };
  const flood = () => {
    const s = net.connect(${port}, '${address}'); s.on('error', () => {});
    const block = Buffer.alloc(256 * 1024, 2); let sent = 0; const from = performance.now();
    const more = () => { while (performance.now() - from < 1500) { sent += block.length; if (!s.write(block)) return s.once('drain', more); } console.log(JSON.stringify({ perSecond: count / 1.5, mbps: sent / 1e6 / 1.5 })); process.exit(); };
    s.on('data', () => {}); more();
  };
  next();`;
