/** Names: how many questions a second one core answers, and how long an answer takes under that load. */
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { absent, account, questions, zoneName } from '../dns/names.ts';
import { metOrNot, ms } from '../lib/format.ts';
import { cpuMs } from '../lib/processes.ts';
import { installPackages } from '../lib/packages.ts';
import { summarise } from '../lib/statistics.ts';
import type { Summary } from '../lib/statistics.ts';
import type { Row, Suite } from '../lib/suite.ts';
import { plainEnvironment, start } from '../../src/exec/run.ts';

const address = '127.0.53.1';
const machines = 1000;
const target = { perSecond: 20_000, p99Ms: 5 } as const;
const cores = { server: '0', asker: '1' } as const;

interface Measured {
  perSecond: number;
  /** Answers in a second of the server's CPU: what a core gives that nobody else uses. */
  perCpuSecond: number;
  lost: number;
  /** Milliseconds. */
  took: Summary;
}

interface Server extends AsyncDisposable {
  pid: number;
  port: number;
}

const startServer = async (kind: string): Promise<Server> => {
  const process_ = join(import.meta.dirname, '../dns/server-process.ts');
  const child = start('taskset', ['--cpu-list', cores.server, process.execPath, process_, kind, address, String(machines)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', (line) => resolve(Number(line)));
    child.once('exit', (code) => reject(new Error(`the server ${kind} ended with ${code}`)));
  });
  return {
    pid: child.pid!,
    port,
    [Symbol.asyncDispose]: async () => {
      child.stdin!.end();
      await ended;
    },
  };
};

interface Load {
  server: Server;
  file: string;
  /** Of every answer; absent: whatever comes. */
  expected?: 'NOERROR' | 'NXDOMAIN' | undefined;
  seconds: number;
  /** At most so many a second; absent: as many as are answered. */
  rate?: number;
  transport?: 'udp' | 'tcp';
}

/** dnsperf tells every answer's time in a line of a file in memory, which is read when it has ended: nobody but it and the server runs meanwhile. */
const measure = async ({ server: { pid, port }, file, expected, seconds, rate, transport = 'udp' }: Load): Promise<Measured> => {
  const limit = rate === undefined ? [] : ['-Q', String(rate)];
  const words = [
    '--cpu-list',
    cores.asker,
    'dnsperf',
    '-v',
    '-m',
    transport,
    '-a',
    address,
    '-s',
    address,
    '-p',
    String(port),
    '-d',
    file,
    '-l',
    String(seconds),
    '-q',
    '64',
    '-c',
    '4',
    '-T',
    '1',
    ...limit,
  ];
  const cpuBefore = cpuMs(pid);
  const output = `${file}.out`;
  const fd = openSync(output, 'w');
  const child = start('taskset', words, { stdio: ['ignore', fd, 'ignore'], env: plainEnvironment });
  closeSync(fd);
  await once(child, 'exit');
  const cpu = cpuMs(pid) - cpuBefore;
  const took: number[] = [];
  let [perSecond, lost, wrong] = [Number.NaN, Number.NaN, 0];
  for (const line of readFileSync(output, 'utf8').split('\n')) {
    if (line.startsWith('> ')) {
      took.push(Number(line.slice(line.lastIndexOf(' ') + 1)) * 1000);
      if (expected !== undefined && !line.startsWith(`> ${expected} `)) wrong += 1;
    } else if (line.includes('Queries per second:')) perSecond = Number(line.split(':')[1]);
    else if (line.includes('Queries lost:')) lost = Number(/\d+/.exec(line)![0]);
  }
  if (Number.isNaN(perSecond)) throw new Error('dnsperf measured nothing');
  if (wrong > 0) throw new Error(`${wrong} answers were not ${expected}`);
  return { perSecond, perCpuSecond: (took.length / cpu) * 1000, lost, took: summarise(took) };
};

const shown = ({ perSecond, perCpuSecond, lost, took }: Measured): string =>
  `${Math.round(perSecond)} a second (${Math.round(perCpuSecond)} a second of CPU), p50 ${ms(took.p50)}, p99 ${ms(took.p99)}${lost === 0 ? '' : `, ${lost} lost`}`;

export const dnsSuite: Suite = {
  name: 'dns',
  title: 'Names',
  method: `${machines} machines of ${account.id} with names beneath ${zoneName}. The server is a process bound to one core, dnsperf (Debian's) to the other, with EDNS, 64 questions at once from 4 sockets, as many as are answered, and at ${target.perSecond} a second; it tells each answer's time. Beside what was answered in a second stands what was answered in a second of the server's CPU, which a host that is not quiet does not change much. The control plane's server and the host's resolver with the code that they run, over loopback; the floor is a process that sends back each datagram.`,
  run: async (bench) => {
    await installPackages(bench, ['dnsperf']);
    const directory = mkdtempSync('/dev/shm/cenote-bench-dns-');
    try {
      const seconds = bench.count(2, 1);
      const files = Object.entries(questions).map(([what, linesOf]) => {
        const file = join(directory, what.replaceAll(/\W/g, '-'));
        writeFileSync(file, linesOf(machines));
        return { what, file, expected: what === absent ? ('NXDOMAIN' as const) : ('NOERROR' as const) };
      });
      const [plain] = files;
      const rows: Row[] = [];
      const data: Record<string, Measured> = {};
      const add = (what: string, measured: Measured, note?: string) => {
        data[what] = measured;
        rows.push({ what, value: shown(measured), ...(note === undefined ? {} : { note }) });
        bench.note(`${what}: ${shown(measured)}`);
      };
      {
        await using server = await startServer('echo');
        add('floor: each datagram sent back', await measure({ server, file: plain!.file, seconds }));
      }
      for (const kind of ['control plane', 'resolver']) {
        await using server = await startServer(kind);
        for (const { what, file, expected } of files) {
          const most = await measure({ server, file, expected, seconds });
          add(`${kind}: ${what}`, most, metOrNot(most.perSecond >= target.perSecond, `>= ${target.perSecond} a second`));
          const steady = await measure({ server, file, expected, seconds, rate: target.perSecond });
          add(`${kind}: ${what}, at ${target.perSecond} a second`, steady, metOrNot(steady.took.p99 <= target.p99Ms, `p99 <= ${target.p99Ms} ms`));
        }
        add(`${kind}: ${plain!.what}, over TCP`, await measure({ server, file: plain!.file, seconds, transport: 'tcp' }));
      }
      return { rows, data: { ...data } };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};
