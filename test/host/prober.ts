/** Packets of every kind between machines of a small world (network-world.ts), many at once. */
import { until } from './network-world.ts';
import type { Place } from './network-world.ts';

export interface Probe {
  from: number;
  to: number;
  port: number;
  protocol: 'tcp' | 'udp';
}

/** One program in each machine that asks for all probes, which are too many to start a program for each. */
const proberScript = `
  const dgram = require('node:dgram'), net = require('node:net');
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, host, port, protocol } = JSON.parse(line);
    let done = false;
    const say = (answered) => { if (!done) console.log(JSON.stringify({ id, answered })); done = true; };
    setTimeout(say, 700, false);
    if (protocol === 'udp') {
      const u = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
      u.on('message', () => say(true)); u.on('error', () => {});
      u.connect(port, host, () => u.send('hello', () => {}));
      setTimeout(() => u.close(), 700);
    } else {
      const s = net.connect({ host, port });
      s.on('data', () => say(true)); s.on('error', () => {});
      setTimeout(() => s.destroy(), 700);
    }
  });`;

/** Asks on behalf of a machine. */
export class Prober {
  readonly #program: ReturnType<Place['follow']>;
  #count = 0;

  constructor(place: Place) {
    this.#program = place.follow(process.execPath, '-e', proberScript);
  }

  async ask(target: { host: string; port: number; protocol: Probe['protocol'] }): Promise<boolean> {
    const id = ++this.#count;
    this.#program.write(JSON.stringify({ id, ...target }));
    const answer = () => this.#program.lines.map((line) => JSON.parse(line) as { id: number; answered: boolean }).find((one) => one.id === id);
    await until(() => answer() !== undefined);
    return answer()!.answered;
  }

  /** Where an answer is expected, it may only have come late. */
  async askExpecting(isOpen: boolean, target: Parameters<Prober['ask']>[0]): Promise<boolean> {
    return (await this.ask(target)) || (isOpen && (await this.ask(target)));
  }
}

/** To ports 90 and 91 of each by all others. */
export const probesBetween = (machines: readonly number[]): Probe[] =>
  machines.flatMap((from) =>
    machines.flatMap((to) => (from === to ? [] : [90, 91].flatMap((port) => (['tcp', 'udp'] as const).map((protocol) => ({ from, to, port, protocol }))))),
  );
