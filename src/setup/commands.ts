/** What the command line calls. Each prints for a person, or with `json` one object, and returns the exit code. */
import { CenoteError } from '../base/errors.ts';
import { formatCores, formatMib } from '../base/units.ts';
import { ControlClient } from '../client/control.ts';
import { openAllotment } from '../host/allotment/allotment.ts';
import { checkRoot, defaultRoot } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import type { DestroyOptions, DownOptions, SetupOptions, UpOptions } from './config.ts';
import { destroyAll, whatWouldGo } from './destroy.ts';
import { examineHost } from './doctor/examine.ts';
import { bringDown } from './down.ts';
import { ensureHello } from './hello.ts';
import { Progress, formatMs } from './progress.ts';
import { bringUp } from './up.ts';

export type { DestroyOptions, DownOptions, SetupOptions, UpOptions } from './config.ts';

const writers = (options: SetupOptions) => ({
  line: options.line ?? ((text: string) => void process.stdout.write(`${text}\n`)),
  note: options.note ?? ((text: string) => void process.stderr.write(`${text}\n`)),
});

/** The command itself says how to be root, with all that tells the instance. */
const demandRoot = (words: string, root: string): void => {
  if (process.getuid?.() === 0) return;
  throw new CenoteError('forbidden', `\`cenote ${words}\` changes the host and must be run by root`, { advice: `sudo ${commandFor(root)} ${words}` });
};

/** What was asked for and cannot be had is told, though all else is up. */
const namesAreServed = async ({ dns }: InstanceConfig, paths: InstancePaths): Promise<{ said: string }> => {
  if (dns?.listen === undefined) return { said: 'told to machines' };
  const { address, port } = dns.listen;
  using control = new ControlClient(paths.controlSocket);
  if ((await control.dnsStatus()).serving) return { said: `served at ${address} port ${port}` };
  throw new CenoteError('failed', `names cannot be served at ${address} port ${port}: it is no address of this host, or a program has the port`, {
    advice: 'choose another with --dns ADDRESS:PORT, or --dns none; all else is up',
  });
};

export const runUp = async (options: UpOptions): Promise<number> => {
  demandRoot('up', checkRoot(options.root));
  const { line, note } = writers(options);
  const start = performance.now();
  const progress = new Progress(note);
  note('Cenote: bringing up this host');
  const { config, paths } = await bringUp(options, progress);
  await progress.step('names', () => namesAreServed(config, paths));
  const hello =
    options.noHello === true
      ? null
      : (
          await progress.step('hello', async () => {
            const made = await ensureHello(paths.controlSocket, `${config.codePath}/examples/hello`, openAllotment(), options.signal);
            return { made, said: made.answerMs === null ? 'answers already' : `answered ${formatMs(made.answerMs)} after the request` };
          })
        ).made;
  using control = new ControlClient(paths.controlSocket);
  const info = await control.info();
  if (options.json === true) {
    line(
      JSON.stringify(
        { root: paths.root, instance: config.instance, hello, pool: info.agent?.pool ?? null, milliseconds: Math.round(performance.now() - start) },
        null,
        2,
      ),
    );
    return 0;
  }
  const cenote = commandFor(paths.root);
  note(`Up in ${formatMs(performance.now() - start)}`);
  line('');
  if (hello !== null) {
    line(`Machine "${hello.name}" answers at ${hello.url}`);
    if (hello.runningMs !== null && hello.answerMs !== null)
      line(`  ${formatMs(hello.runningMs)} from request to running, ${formatMs(hello.answerMs)} to its first answer`);
  }
  const pool = info.agent?.pool;
  if (pool !== undefined) line(`The pool: ${formatCores(pool.cpuMillis)}, ${formatMib(pool.memoryMib)} of memory, ${formatMib(pool.diskMib)} of disk`);
  line('Try next:');
  line(`  ${cenote} ls`);
  line(hello === null ? `  ${cenote} create web --image node --code ./examples/hello --publish 8080:80` : `  ${cenote} exec -it ${hello.name} -- sh`);
  line(hello === null ? `  ${cenote} info` : `  ${cenote} resize ${hello.name} --memory 256M`);
  return 0;
};

export const runDown = async (options: DownOptions): Promise<number> => {
  const { line, note } = writers(options);
  const root = checkRoot(options.root);
  demandRoot('down', root);
  await bringDown({ ...options, root }, new Progress(note));
  line(
    options.json === true
      ? JSON.stringify({ root, machines: options.machines === true ? 'stopped' : 'kept' })
      : `Down. Bring it back with: ${commandFor(root)} up`,
  );
  return 0;
};

export const runDestroy = async (options: DestroyOptions): Promise<number> => {
  const { line, note } = writers(options);
  const root = checkRoot(options.root);
  if (options.yes !== true) {
    const would = await whatWouldGo(root);
    if (options.json === true) line(JSON.stringify({ root, destroyed: false, wouldGo: would }, null, 2));
    else
      for (const text of [
        `This would remove, for good, from ${root}:`,
        ...would.map((what) => `  - ${what}`),
        `Say it with: ${commandFor(root)} destroy --yes`,
      ])
        line(text);
    return 2;
  }
  demandRoot('destroy --yes', root);
  await destroyAll({ ...options, root }, new Progress(note));
  line(options.json === true ? JSON.stringify({ root, destroyed: true }) : `Nothing of Cenote is left at ${root}. The packages stay.`);
  return 0;
};

export const runDoctor = async (options: SetupOptions): Promise<number> => {
  const { line } = writers(options);
  const findings = await examineHost(checkRoot(options.root));
  const fit = findings.every(({ status }) => status !== 'fail');
  if (options.json === true) {
    line(JSON.stringify({ fit, findings }, null, 2));
    return fit ? 0 : 1;
  }
  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const { status, name, says } of findings) line(`${status.padEnd(4)}  ${name.padEnd(width)}  ${says}`);
  const count = (wanted: string) => findings.filter(({ status }) => status === wanted).length;
  line(fit ? `Machines can run here (${count('ok')} ok, ${count('warn')} warnings).` : `Machines cannot run here: ${count('fail')} failures.`);
  return fit ? 0 : 1;
};

const commandFor = (root: string): string => (root === defaultRoot ? './cenote' : `./cenote --root ${root}`);
