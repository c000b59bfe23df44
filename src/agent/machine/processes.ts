/** The processes of a machine, from its cgroup and /proc. */
import { readFileSync } from 'node:fs';
import type { MachineProcess } from '../../model/machine.ts';
import { isErrno } from '../../base/errno.ts';
import type { Machine } from './machine.ts';

const ticksPerSecond = 100; // USER_HZ, the same on every Linux that Node runs on
const pageMib = 4096 / 2 ** 20;
const longestCommand = 4096;

export const machineProcesses = async (machine: Machine): Promise<MachineProcess[]> => {
  const pids = await machine.host.cgroups.processes(machine.id);
  return pids.flatMap((pid) => readProcess(pid) ?? []);
};

const readProcess = (pid: number): MachineProcess | null => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything, so count from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').slice(0, longestCommand).replaceAll('\0', ' ').trim();
    return {
      pid: Number(field('NSpid').split(/\s+/).at(-1)),
      user: insideId(pid, Number(field('Uid').split(/\s+/)[1])),
      command: command === '' ? `[${field('Name')}]` : command,
      memoryMib: Number(fields[21]) * pageMib,
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
};

/** The host's uid as the machine numbers it. */
const insideId = (pid: number, uid: number): string => {
  const [inside, outside, count] = readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/).map(Number) as [number, number, number];
  return uid >= outside && uid < outside + count ? String(uid - outside + inside) : 'nobody';
};
