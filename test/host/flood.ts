/** Machines that send as much as they can, and a place outside that counts what arrives: for tests of who gets what of an uplink. */
import { setTimeout as sleep } from 'node:timers/promises';

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
    while (lines.length === before) await sleep(5);
    return { at: performance.now(), bytes: JSON.parse(lines.at(-1)!) as number[] };
  };
  const first = await read();
  await sleep(milliseconds);
  const last = await read();
  return last.bytes.map((total, index) => ((total - first.bytes[index]!) * 8) / 1000 / (last.at - first.at));
};
