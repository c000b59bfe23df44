/**
 * A small world for the network tests, made of real namespaces: this process moves into a network namespace of its own that
 * plays the host, another plays the outside, and machines are user and network namespaces held by a waiting process. All of
 * it is gone when the processes are, so nothing of it can be left on the real host, and tests run side by side.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, start } from '../../src/exec/run.ts';
import { checked, closeFd, declare, openFd, openFlags } from '../../src/sys/libc.ts';
import { inNetworkNamespace } from '../../src/sys/netns.ts';
import { firstWord } from '../support/first-word.ts';

export const hostAddress = '198.51.100.1';
export const outsideAddress = '198.51.100.2';

/** Replies to whoever comes with the address it came from, on TCP and UDP. */
const serverScript = `
  const [port, address] = [Number(process.argv[1]), process.argv[2]];
  require('node:net').createServer((s) => { s.on('error', () => {}); s.end(s.remoteAddress); }).listen({ port, host: address, ipv6Only: true }, () => {
    const u = require('node:dgram').createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', ipv6Only: address.includes(':') });
    u.on('message', (m, from) => u.send(from.address + ' ' + m, from.port, from.address));
    u.bind(port, address, () => console.log('ready'));
  });`;
const clientScript = `
  const [protocol, host, port] = process.argv.slice(1);
  const say = (text) => { console.log(text); process.exit(); };
  setTimeout(() => say('timeout'), 1500);
  if (protocol === 'tcp') {
    const s = require('node:net').connect(Number(port), host);
    s.on('data', (d) => say(String(d)));
    s.on('error', (e) => say(e.code));
    s.on('close', () => say('closed'));
  } else {
    const u = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
    u.on('message', (m) => say(String(m).split(' ')[0]));
    u.on('error', (e) => say(e.code));
    u.connect(Number(port), host, () => u.send('hello'));
  }`;

/** Moves this thread (and what it starts) into a new network namespace. Descriptors of the old one stay as they are. */
export const becomeHost = async (): Promise<void> => {
  checked('unshare', declare('int unshare(int flags)')(0x4000_0000) as number);
  await run('ip', ['link', 'set', 'lo', 'up']);
};

/** A network namespace held by a process that ends when this one does, with a node program started in it when asked. */
export class Place implements AsyncDisposable {
  readonly fd: number;
  readonly pid: number;
  readonly #children: ChildProcess[];
  readonly #enter: string[];

  private constructor(holder: ChildProcess, kind: 'machine' | 'outside') {
    this.#enter = [...(kind === 'machine' ? ['--preserve-credentials', '--user'] : []), '--net', '--target', String(holder.pid)];
    this.pid = holder.pid!;
    this.fd = openFd(`/proc/${this.pid}/ns/net`, openFlags.readOnly);
    this.#children = [holder];
  }

  /** As machines have it: a network namespace made inside a user namespace. Or one of the host's own, for the outside. */
  static async create(kind: 'machine' | 'outside'): Promise<Place> {
    const holder = start('unshare', [...(kind === 'machine' ? ['--user', '--map-root-user'] : []), '--net', 'cat'], { stdio: ['pipe', 'ignore', 'ignore'] });
    // Who enters before its map of users is written has no rights there, and that is the last that unshare does.
    await until(() => readFileSync(`/proc/${holder.pid}/comm`, 'utf8') === 'cat\n');
    return new Place(holder, kind);
  }

  /** Runs a program inside as that place's root. */
  run(program: string, ...args: string[]): Promise<string> {
    return run('nsenter', [...this.#enter, program, ...args]);
  }

  /** On all addresses of IPv4, or with `::` of IPv6. */
  async serve(port: number, address: '0.0.0.0' | '::' = '0.0.0.0'): Promise<void> {
    const child = start('nsenter', [...this.#enter, process.execPath, '-e', serverScript, String(port), address], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    await firstWord(child);
  }

  /** Starts a program inside that goes on until the place is gone; its lines as they come. */
  follow(program: string, ...args: string[]): { lines: string[]; write: (line: string) => void } {
    const child = start('nsenter', [...this.#enter, program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    const lines: string[] = [];
    let rest = '';
    child.stdout!.on('data', (data: Buffer) => {
      const parts = (rest + String(data)).split('\n');
      rest = parts.pop()!;
      lines.push(...parts);
    });
    return { lines, write: (line) => void child.stdin!.write(`${line}\n`) };
  }

  /** What a server says to a client inside, or the error it meets. */
  async ask(protocol: 'tcp' | 'udp', host: string, port: number): Promise<string> {
    return (await run('nsenter', [...this.#enter, process.execPath, '-e', clientScript, protocol, host, String(port)])).trim();
  }

  /** Puts a raw frame on the wire. */
  sendFrame(frame: Buffer): void {
    inNetworkNamespace(this.fd, () => {
      const fd = checked('socket', declare('int socket(int family, int type, int protocol)')(17, 3, 0) as number);
      const index = checked('if_nametoindex', declare('int if_nametoindex(const char* name)')('eth0') as number);
      const destination = Buffer.alloc(20);
      destination.writeUInt16LE(17, 0);
      destination.writeInt32LE(index, 4);
      checked(
        'sendto',
        declare('long sendto(int fd, const void* data, size_t length, int flags, const void* to, unsigned int toLength)')(
          fd,
          frame,
          frame.length,
          0,
          destination,
          20,
        ) as number,
      );
      closeFd(fd);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeFd(this.fd);
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
  }
}

/** The outside: one wire to the host, and a route back to the machines' subnets, as a bad neighbour would have. */
export const createOutside = async (...subnets: string[]): Promise<Place> => {
  const outside = await Place.create('outside');
  await run('ip', ['link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside.pid)]);
  await run('ip', ['addr', 'add', `${hostAddress}/24`, 'dev', 'up0']);
  await run('ip', ['link', 'set', 'up0', 'up']);
  await outside.run('ip', 'link', 'set', 'lo', 'up');
  await outside.run('ip', 'addr', 'add', `${outsideAddress}/24`, 'dev', 'eth0');
  await outside.run('ip', 'link', 'set', 'eth0', 'up');
  for (const subnet of subnets) await outside.run('ip', 'route', 'add', subnet, 'via', hostAddress);
  return outside;
};

/** As `Place.ask`, from the host. */
export const askFromHost = (protocol: 'tcp' | 'udp', host: string, port: number): Promise<string> =>
  new Promise((resolve) => {
    if (protocol === 'tcp') {
      const socket = connect({ host, port, timeout: 1500 });
      const say = (text: string) => {
        resolve(text);
        socket.destroy();
      };
      socket.on('data', (data) => say(String(data)));
      socket.on('error', (error) => say('code' in error ? String(error.code) : error.message));
      socket.on('timeout', () => say('timeout'));
      socket.on('close', () => say('closed'));
      return;
    }
    const socket = createSocket('udp4');
    const say = (text: string) => {
      clearTimeout(timer);
      resolve(text);
      socket.close();
    };
    const timer = setTimeout(() => say('timeout'), 1500);
    socket.on('message', (message) => say(String(message).split(' ')[0]!));
    socket.on('error', (error) => say('code' in error ? String(error.code) : error.message));
    socket.connect(port, host, () => socket.send('hello'));
  });

/** `everyMs`: more where asking takes time of the one who is waited for. */
export const until = async (condition: () => boolean | Promise<boolean>, timeoutMs = 60_000, everyMs = 5): Promise<void> => {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'waited too long');
    await sleep(everyMs);
  }
};

export const checksum = (data: Buffer): number => {
  let sum = 0;
  for (let at = 0; at < data.length; at += 2) sum += data.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};

/** What goes into an IPv6 packet with its checksum at `at`. */
export const withChecksum6 = (source: Buffer, destination: Buffer, next: number, content: Buffer, at: number): Buffer => {
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(content.length, 0);
  pseudo[7] = next;
  const result = Buffer.from(content);
  const padding = Buffer.alloc(content.length % 2);
  result.writeUInt16BE(checksum(Buffer.concat([source, destination, pseudo, content, padding])), at);
  return result;
};

interface Frame6 {
  sourceMac: Buffer;
  destinationMac: Buffer;
  source: Buffer;
  destination: Buffer;
  /** Behind a header with options, which says no more than that they fill it. */
  isHidden?: boolean;
}

const frame6 = (frame: Frame6, next: number, content: Buffer, checksumAt: number): Buffer => {
  const { sourceMac, destinationMac, source, destination, isHidden = false } = frame;
  const options = isHidden ? Buffer.from([next, 0, 1, 4, 0, 0, 0, 0]) : Buffer.alloc(0);
  const ip = Buffer.alloc(8);
  ip[0] = 0x60;
  ip.writeUInt16BE(options.length + content.length, 4);
  ip[6] = isHidden ? 60 : next;
  ip[7] = 255;
  const whole = withChecksum6(source, destination, next, content, checksumAt);
  return Buffer.concat([destinationMac, sourceMac, Buffer.from([0x86, 0xdd]), ip, source, destination, options, whole]);
};

/** The same of IPv6. */
export const udpFrame6 = ({ port, payload, ...frame }: Frame6 & { port: number; payload: string }): Buffer => {
  const content = Buffer.concat([Buffer.alloc(8), Buffer.from(payload)]);
  content.writeUInt16BE(4444, 0);
  content.writeUInt16BE(port, 2);
  content.writeUInt16BE(content.length, 4);
  return frame6(frame, 17, content, 6);
};

/** A message of ICMPv6, of which neighbours and routers speak. */
export const icmpFrame6 = ({ type, body, ...frame }: Frame6 & { type: number; body: Buffer }): Buffer =>
  frame6(frame, 58, Buffer.concat([Buffer.from([type, 0, 0, 0]), body]), 2);

/** An Ethernet frame with a UDP datagram, whatever the sender claims to be. */
export const udpFrame = (options: {
  sourceMac: Buffer;
  destinationMac: Buffer;
  source: Buffer;
  destination: Buffer;
  port: number;
  payload: string;
}): Buffer => {
  const payload = Buffer.from(options.payload);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(4444, 0);
  udp.writeUInt16BE(options.port, 2);
  udp.writeUInt16BE(8 + payload.length, 4);
  const ip = Buffer.from([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, ...options.source, ...options.destination]);
  ip.writeUInt16BE(28 + payload.length, 2);
  ip.writeUInt16BE(checksum(ip), 10);
  return Buffer.concat([options.destinationMac, options.sourceMac, Buffer.from([0x08, 0x00]), ip, udp, payload]);
};
