/** What the kernel itself says of a machine's memory, read from its control group, v1 or v2. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { run } from '../../src/exec/run.ts';
import { parentPaths } from '../../src/host/cgroup/parent.ts';

export interface KernelMemory {
  usedMib: number;
  /** Of it pages of files on a disk, which cost nobody anything to give up. */
  cacheMib: number;
  swappedMib: number;
  limitMib: number;
  /** How often it killed inside. */
  kills: number;
}

const mib = 2 ** 20;
const v1Tree = '/sys/fs/cgroup/memory';
const v2Tree = '/sys/fs/cgroup';

/** Of the whole instance without a machine. */
export const kernelMemory = (instance: string, machine = ''): KernelMemory => {
  const { isV1, group } = groupOf(instance, machine);
  const text = (file: string): string => readFileSync(`${group}/${file}`, 'utf8').trim();
  const entry = (file: string, key: string): number => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text(file))?.[1] ?? 0);
  return isV1
    ? {
        usedMib: Number(text('memory.usage_in_bytes')) / mib,
        cacheMib: (entry('memory.stat', 'total_cache') - entry('memory.stat', 'total_shmem')) / mib,
        swappedMib: entry('memory.stat', 'total_swap') / mib,
        limitMib: Number(text('memory.limit_in_bytes')) / mib,
        kills: entry('memory.oom_control', 'oom_kill'),
      }
    : {
        usedMib: Number(text('memory.current')) / mib,
        cacheMib: (entry('memory.stat', 'file') - entry('memory.stat', 'shmem')) / mib,
        swappedMib: Number(text('memory.swap.current')) / mib,
        limitMib: Number(text('memory.max')) / mib,
        kills: entry('memory.events', 'oom_kill'),
      };
};

const groupOf = (instance: string, machine: string) => {
  const isV1 = existsSync(v1Tree);
  const tree = isV1 ? v1Tree : v2Tree;
  const parent = parentPaths(instance).find((path) => existsSync(`${tree}${path}`));
  return { isV1, group: `${tree}${parent}/${machine}` };
};

/** Whether the kernel would kill in the machine rather than swap it; null on v2, which has no such word. */
export const isBarredFromSwap = (instance: string, machine: string): boolean | null => {
  const { isV1, group } = groupOf(instance, machine);
  return isV1 ? Number(readFileSync(`${group}/memory.swappiness`, 'utf8')) === 0 : null;
};

/** From now on the instance's machines have no more in swap than they have; the start of an agent gives them their part of it again. */
export const cutSwap = (instance: string): void => {
  const { isV1, group } = groupOf(instance, '');
  if (isV1) writeFileSync(`${group}/memory.memsw.limit_in_bytes`, readFileSync(`${group}/memory.limit_in_bytes`));
  else writeFileSync(`${group}/memory.swap.max`, '0');
};

const told = [
  'memory.usage_in_bytes',
  'memory.limit_in_bytes',
  'memory.memsw.usage_in_bytes',
  'memory.memsw.limit_in_bytes',
  'memory.swappiness',
  'memory.failcnt',
  'memory.oom_control',
  'memory.current',
  'memory.max',
  'memory.min',
  'memory.swap.current',
  'memory.swap.max',
  'memory.events',
];

/** All that bears on who had to give way, and what the kernel wrote of those it killed in this instance: for the message of a failure. */
export const autopsy = async (instance: string, machines: readonly { id: string; name: string }[]): Promise<string> => {
  const lines = [{ id: '', name: 'the pool' }, ...machines].map(({ id, name }) => {
    const { group } = groupOf(instance, id);
    const files = told.filter((file) => existsSync(`${group}/${file}`));
    return `${name} (${id}): ${files.map((file) => `${file} ${readFileSync(`${group}/${file}`, 'utf8').trim().replaceAll('\n', ' ')}`).join(', ')}`;
  });
  const stdout = await run('dmesg', []);
  const kernel = stdout.split('\n');
  const deaths = kernel.flatMap((line, index) => (line.includes('oom-kill:') && line.includes(instance) ? kernel.slice(index, index + 2) : []));
  return [...lines, ...deaths].join('\n');
};
