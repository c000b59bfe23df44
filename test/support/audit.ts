/**
 * What of Cenote is on this host, as the host itself says: taken before and after a test, the difference is what the test left behind.
 * Other instances may work at the same time, so every line names the instance it belongs to as far as the host knows, and
 * `compare` can be asked about one of them only. A line that belongs to nobody counts against everybody.
 */
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { runAny } from '../../src/exec/run.ts';

export const auditKinds = [
  'mounts',
  'control groups',
  'links',
  'rules of routing',
  'queues',
  'tables',
  'loop devices',
  'processes',
  'run directories',
  'host records',
  'published ports',
  'files',
] as const;
export type AuditKind = (typeof auditKinds)[number];
export type AuditSnapshot = Record<AuditKind, readonly string[]>;

/** Of an instance: its root directory and its name on the host. */
export interface AuditOwner {
  root: string;
  instance: string;
}

interface Found {
  line: string;
  /** Instance name, root directory, or null when nothing says whose it is. */
  owner: string | null;
}

export const auditHost = async (roots: readonly string[] = []): Promise<AuditSnapshot> => {
  const { instances, changes } = readJson<{ instances: AllottedInstance[]; changes: Record<string, { owners: string[] }> }>(
    '/var/lib/cenote-host/allotment.json',
    { instances: [], changes: {} },
  );
  const published = readJson<Record<string, { instance: string; machine: string }>>('/var/lib/cenote-host/ports.json', {});
  const found: Record<AuditKind, Found[]> = {
    mounts: mounts(roots),
    'control groups': controlGroups(),
    links: await links(instances),
    'rules of routing': [...(await rules(instances)), ...(await proxies())],
    queues: await queues(instances),
    tables: await tables(),
    'loop devices': await loopDevices(),
    processes: processes(),
    'run directories': readNames('/run')
      .filter((name) => name.startsWith('cenote-'))
      .map((name) => ({ line: `/run/${name}`, owner: name.slice('cenote-'.length) })),
    'host records': [
      ...instances.map(({ instance, root }) => ({ line: `${instance} at ${root}`, owner: instance })),
      ...Object.entries(changes).flatMap(([change, { owners }]) => owners.map((owner) => ({ line: `${change} for ${owner}`, owner }))),
    ],
    'published ports': Object.entries(published).map(([port, { instance, machine }]) => ({ line: `${port} of ${machine}`, owner: instance })),
    files: roots.filter((root) => existsSync(root)).flatMap((root) => ['.', ...readNames(root)].map((name) => ({ line: join(root, name), owner: root }))),
  };
  return Object.fromEntries(
    Object.entries(found).map(([kind, all]) => [kind, all.map(({ line, owner }) => `${line} [${owner ?? 'nobody'}]`).toSorted()]),
  ) as unknown as AuditSnapshot;
};

/** What is there now and was not there before; with an owner, only what is its own or nobody's. Empty when all is well. */
export const compare = (before: AuditSnapshot, after: AuditSnapshot, owner?: AuditOwner): string[] => {
  const mine = (line: string): boolean =>
    owner === undefined || [owner.instance, owner.root, 'nobody'].some((name) => line.endsWith(`[${name}]`)) || line.includes(`${owner.root}/`);
  return auditKinds.flatMap((kind) => {
    const known = new Set(before[kind]);
    return after[kind].filter((line) => !known.has(line) && mine(line)).map((line) => `${kind}: ${line}`);
  });
};

interface AllottedInstance {
  instance: string;
  number: number;
  root: string;
}

/** `/run/cenote-NAME/…` or a root directory that is asked about; a mount of another test's temporary directory is not ours to judge. */
const mounts = (roots: readonly string[]): Found[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const path = line.split(' ')[4];
      if (path === undefined) return [];
      const instance = /^\/run\/cenote-([a-z0-9]{1,12})(\/|$)/.exec(path)?.[1];
      const root = roots.find((one) => path === one || path.startsWith(`${one}/`));
      return instance === undefined && root === undefined ? [] : [{ line: path, owner: instance ?? root! }];
    });

const controlGroups = (): Found[] => {
  const hierarchies = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, path]) => path!);
  return hierarchies.flatMap((hierarchy) =>
    readNames(hierarchy)
      .filter((name) => name.startsWith('cenote-'))
      .flatMap((name) => directoriesBelow(join(hierarchy, name)).map((line) => ({ line, owner: /^cenote-([a-z0-9]+)/.exec(name)?.[1] ?? null }))),
  );
};

const directoriesBelow = (path: string): string[] => [
  path,
  ...readEntries(path)
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => directoriesBelow(join(path, entry.name))),
];

/** Links are named by the instance's number, which is another's as soon as an instance is gone. */
const links = async (instances: readonly AllottedInstance[]): Promise<Found[]> =>
  (await linesOf('ip', ['-o', 'link'])).flatMap((line) => {
    const match = /^\d+: (cn(\d+)[a-z][^@: ]*)/.exec(line);
    if (match === null) return [];
    return [{ line: match[1]!, owner: instances.find(({ number }) => number === Number(match[2]))?.instance ?? null }];
  });

/** By their priorities, two of an instance, which have its number. */
const rules = async (instances: readonly AllottedInstance[]): Promise<Found[]> =>
  (await linesOf('ip', ['rule'])).flatMap((line) => {
    const priority = /^(\d+):.* proto 206/.exec(line)?.[1];
    if (priority === undefined) return [];
    return [{ line, owner: instances.find(({ number }) => number === Math.floor((Number(priority) - 10_000) / 2))?.instance ?? null }];
  });

/** Addresses that the host answers for; nothing says whose. */
const proxies = async (): Promise<Found[]> =>
  (await linesOf('ip', ['neigh', 'show', 'proxy'])).flatMap((line) => (/ proto 206\b/.test(line) ? [{ line: `answers for ${line.trim()}`, owner: null }] : []));

/** Root queues of shaped devices, whose number has the instance's in it. */
const queues = async (instances: readonly AllottedInstance[]): Promise<Found[]> =>
  (await linesOf('tc', ['qdisc', 'show'])).flatMap((line) => {
    const match = /^qdisc htb ce([0-9a-f]{2}): dev (\S+) root/.exec(line);
    if (match === null) return [];
    return [
      { line: `${match[2]!} has htb ce${match[1]!}:`, owner: instances.find(({ number }) => number === Number.parseInt(match[1]!, 16))?.instance ?? null },
    ];
  });

const tables = async (): Promise<Found[]> =>
  (await linesOf('nft', ['list', 'tables'])).flatMap((line) => {
    const instance = /^table \S+ cenote-([a-z0-9]+)/.exec(line)?.[1];
    return instance === undefined ? [] : [{ line, owner: instance }];
  });

const loopDevices = async (): Promise<Found[]> =>
  (await linesOf('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE'])).flatMap((line) => {
    const [name, file] = line.split(' ');
    const root = /^(.*)\/storage\/[^/]+$/.exec(file ?? '')?.[1];
    return root === undefined ? [] : [{ line: `${name} ${file}`, owner: root }];
  });

/** Services, monitors, helpers, and whatever runs in a machine. */
const processes = (): Found[] =>
  readNames('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const command = commandOf(pid);
      const inGroup = /\/cenote-([a-z0-9]{1,12})(-machines\.service|\.services)?(\/|$)/m.exec(readOrEmpty(`/proc/${pid}/cgroup`))?.[1];
      const named = /\/run\/cenote-([a-z0-9]{1,12})(\/|\s)/.exec(command)?.[1];
      const service = /\/src\/(?:agent\/main|control\/main|setup\/supervisor)\.ts --root (\S+)/.exec(command)?.[1];
      const standIn = /\/src\/agent\/stand-in\.ts --instance (\S+)/.exec(command)?.[1];
      const lxcfs = /lxcfs .*?--pidfile (\S+)\/run\//.exec(command)?.[1];
      const helper = /\/nsmaker\.pl/.test(command);
      const owner = inGroup ?? named ?? service ?? standIn ?? lxcfs ?? (helper ? (/--root (\S+)/.exec(commandOf(parentOf(pid)))?.[1] ?? null) : undefined);
      return owner === undefined ? [] : [{ line: `${pid} ${command.slice(0, 120).trim()}`, owner }];
    });

const commandOf = (pid: string): string => readOrEmpty(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
const parentOf = (pid: string): string => /^PPid:\s*(\d+)$/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? '0';

/** Processes whose root directory or working directory is in a pool, but which no group names: they would keep it mounted. */
export const holdersOf = (root: string): string[] =>
  readNames('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => ['cwd', 'root', 'exe'].some((link) => linkOf(`/proc/${pid}/${link}`).startsWith(`${root}/`)))
    .map((pid) => `${pid} ${commandOf(pid)}`);

const linkOf = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};

const linesOf = async (program: string, args: readonly string[]): Promise<string[]> => (await runAny(program, args)).stdout.split('\n').filter(Boolean);

const readOrEmpty = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const readEntries = (path: string) => {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
};
const readNames = (path: string): string[] => readEntries(path).map(({ name }) => name);

const readJson = <Value>(path: string, otherwise: Value): Value => {
  const text = readOrEmpty(path);
  return text === '' ? otherwise : (JSON.parse(text) as Value);
};
