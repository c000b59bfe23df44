/** Machines that send as much as they can, and a place outside that counts what arrives: for tests of who gets what of an uplink. */
import { setTimeout as sleep } from 'node:timers/promises';
import { run, runAny } from '../../src/exec/run.ts';
import { Place, until } from './network-world.ts';

/** Arguments: address, port, seconds. UDP; where the sender's link has a ceiling it sends so much, and sleeps. */
export const floodUdp =
  'use Socket; my ($to, $port, $seconds) = @ARGV; socket(my $s, PF_INET, SOCK_DGRAM, 0); connect($s, pack_sockaddr_in($port, inet_aton($to))); my $end = time + $seconds; my $data = "x" x 1400; while (time < $end) { send($s, $data, 0); }';
/** The same over TCP. */
export const floodTcp =
  'use Socket; my ($to, $port, $seconds) = @ARGV; socket(my $s, PF_INET, SOCK_STREAM, 0); connect($s, pack_sockaddr_in($port, inet_aton($to))) or die $!; $SIG{PIPE} = $SIG{ALRM} = sub { exit }; alarm $seconds; my $data = "x" x 65536; while (1) { syswrite($s, $data); }';

/** Takes UDP and TCP on so many ports; writes a line of JSON with the bytes of each port for every line it reads. */
export const counter = (firstPort: number, count: number): string => `
  const bytes = Array(${count}).fill(0);
  const ports = bytes.map((_, index) => ${firstPort} + index);
  const udp = ports.map((port, index) => new Promise((ready) => {
    const socket = require('node:dgram').createSocket({ type: 'udp4', recvBufferSize: 4194304 });
    socket.on('message', (data) => (bytes[index] += data.length));
    socket.bind(port, '0.0.0.0', ready);
  }));
  const tcp = ports.map((port, index) => new Promise((ready) => {
    require('node:net').createServer((one) => { one.on('error', () => {}); one.on('data', (data) => (bytes[index] += data.length)); }).listen(port, '0.0.0.0', ready);
  }));
  Promise.all([...udp, ...tcp]).then(() => console.log('ready'));
  require('node:readline').createInterface(process.stdin).on('line', () => console.log(JSON.stringify(bytes)));`;

export interface Counted {
  lines: string[];
  write: (line: string) => void;
}

/** Mbit/s that arrive at each port, from now on for so long. */
export const rates = async ({ lines, write }: Counted, milliseconds: number): Promise<number[]> => {
  const read = async (): Promise<{ at: number; bytes: number[] }> => {
    const before = lines.length;
    write('');
    await until(() => lines.length > before);
    return { at: performance.now(), bytes: JSON.parse(lines.at(-1)!) as number[] };
  };
  const first = await read();
  await sleep(milliseconds);
  const last = await read();
  return last.bytes.map((total, index) => ((total - first.bytes[index]!) * 8) / 1000 / (last.at - first.at));
};

/** What these shares must be, in one of three measurements: who sends may not have the processor for a while. */
export const holds = async (measure: () => Promise<number[]>, law: (got: readonly number[]) => void): Promise<number[]> => {
  for (let left = 2; ; left -= 1) {
    const got = await measure();
    try {
      law(got);
      return got;
    } catch (error) {
      if (left === 0) throw error;
    }
  }
};

/** A link of the caller's own that leads out of the host, to a place that counts. */
export interface TestUplink extends AsyncDisposable {
  device: string;
  outside: Place;
  /** The address to send to. */
  there: string;
  counted: Counted;
}

/** `prefix`: of a /24 that nobody else uses, as `198.18.7`. */
export const createUplink = async (device: string, prefix: string, ports: number): Promise<TestUplink> => {
  await using undo = new AsyncDisposableStack();
  const outside = undo.use(await Place.create('outside'));
  await run('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside.pid)]);
  undo.defer(async () => void (await runAny('ip', ['link', 'del', device])));
  await run('ip', ['addr', 'add', `${prefix}.1/24`, 'dev', device]);
  await run('ip', ['link', 'set', device, 'up']);
  const there = `${prefix}.2`;
  await outside.run('ip', 'addr', 'add', `${there}/24`, 'dev', 'eth0');
  await outside.run('ip', 'link', 'set', 'eth0', 'up');
  const counted = outside.follow(process.execPath, '-e', counter(firstPort, ports));
  await until(() => counted.lines.length > 0);
  const held = undo.move();
  return { device, outside, there, counted, [Symbol.asyncDispose]: () => held.disposeAsync() };
};

/** Of the ports that count. */
export const firstPort = 9000;

/** From a network namespace, by way of a process in it. */
export const floodFrom = (pid: number, script: string, to: string, index: number, seconds: number): Promise<string> =>
  run('nsenter', ['--net', '--target', String(pid), 'perl', '-e', script, to, String(firstPort + index), String(seconds)]);
