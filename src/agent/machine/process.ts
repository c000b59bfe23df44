/** What a machine's first process is: command, environment, directory and user, from the image's configuration and the machine's own wishes. */
import { CenoteError } from '../../base/errors.ts';
import type { MachineSpec } from '../../model/machine.ts';
import { readInRoot } from '../../host/rootfs/read-in-root.ts';
import type { ProcessUser } from '../../host/runtime/specification.ts';
import type { ExecProcess } from '../../host/runtime/runtime.ts';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const workingDirectoryOf = (spec: MachineSpec): string => {
  const directory = spec.config.WorkingDir ?? '';
  return directory === '' ? '/' : directory;
};

/** Later ones win: defaults, the image's, the machine's facts, the person's. */
export const environmentOf = (spec: MachineSpec, home: string): string[] => {
  const merged = new Map<string, string>([
    ['PATH', defaultPath],
    ['HOME', home],
    ['HOSTNAME', spec.name],
  ]);
  // The affinity is not limited by a ceiling, so that what is spare can be had on any CPU; `nproc` and OpenMP, which ask for it, heed this.
  const { cpuCeilingMillis } = spec.resources;
  if (cpuCeilingMillis !== null) merged.set('OMP_THREAD_LIMIT', String(Math.ceil(cpuCeilingMillis / 1000)));
  for (const entry of spec.config.Env ?? []) {
    const at = entry.indexOf('=');
    merged.set(entry.slice(0, at), entry.slice(at + 1));
  }
  merged.set('CENOTE_CPU_GUARANTEE', String(spec.resources.cpuMillis / 1000));
  merged.set('CENOTE_MEMORY_GUARANTEE_MIB', String(spec.resources.memoryMib));
  merged.set('CENOTE_NETWORK_GUARANTEE_MBPS', String(spec.resources.networkMbps));
  for (const [name, value] of Object.entries(spec.env)) merged.set(name, value);
  return [...merged].map(([name, value]) => `${name}=${value}`);
};

export const allowsNewPrivileges = (spec: MachineSpec): boolean => spec.config.Labels?.['cenote.no-new-privileges'] === 'false';

/** The process that a machine with this root would start. `root` is a directory whose content is the machine's own, not to be trusted. */
export const processOf = (spec: MachineSpec, root: string, user = spec.config.User ?? ''): ExecProcess => {
  const resolved = resolveUser(root, user);
  return { env: environmentOf(spec, resolved.home), cwd: workingDirectoryOf(spec), user: resolved.user, noNewPrivileges: !allowsNewPrivileges(spec) };
};

/** `user`, `uid`, `user:group`, `uid:gid` or nothing (root), as the OCI image configuration has it. */
export const resolveUser = (root: string, text: string): { user: ProcessUser; home: string } => {
  const [userPart = '', groupPart] = text === '' ? ['0'] : text.split(':');
  const accounts = parseAccounts(readInRoot(root, '/etc/passwd'));
  const account = accounts.find((line) => line[0] === userPart) ?? accounts.find((line) => line[2] === userPart);
  const uid = account === undefined ? numeric(userPart, `user ${userPart}`) : Number(account[2]);
  const groups = parseAccounts(readInRoot(root, '/etc/group'));
  let gid = account === undefined ? 0 : Number(account[3]);
  if (groupPart !== undefined) {
    const group = groups.find((line) => line[0] === groupPart);
    gid = group === undefined ? numeric(groupPart, `group ${groupPart}`) : Number(group[2]);
  }
  const name = account?.[0];
  const additionalGids =
    groupPart === undefined && name !== undefined && uid !== 0
      ? groups.filter((line) => (line[3] ?? '').split(',').includes(name)).map((line) => Number(line[2]))
      : [];
  const valid = (id: number) => Number.isInteger(id) && id >= 0 && id < 65_536;
  if (![uid, gid, ...additionalGids].every(valid)) throw new CenoteError('failed', `user ${text}: ids in a machine are 0 to 65535`);
  return { user: { uid, gid, additionalGids }, home: account?.[5] || '/' };
};

const numeric = (text: string, what: string): number => {
  if (!/^\d{1,5}$/.test(text)) throw new CenoteError('failed', `there is no ${what} in the machine`);
  return Number(text);
};

const parseAccounts = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));
