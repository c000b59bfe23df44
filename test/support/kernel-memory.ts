/** What the kernel itself says of a machine's memory, read from its control group, v1 or v2. */
import { existsSync, readFileSync } from 'node:fs';
import { parentPaths } from '../../src/host/cgroup/parent.ts';

export interface KernelMemory {
  usedMib: number;
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
  const isV1 = existsSync(v1Tree);
  const tree = isV1 ? v1Tree : v2Tree;
  const parent = parentPaths(instance).find((path) => existsSync(`${tree}${path}`));
  const group = `${tree}${parent}/${machine}`;
  const text = (file: string): string => readFileSync(`${group}/${file}`, 'utf8').trim();
  const entry = (file: string, key: string): number => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text(file))?.[1] ?? 0);
  return isV1
    ? {
        usedMib: Number(text('memory.usage_in_bytes')) / mib,
        swappedMib: entry('memory.stat', 'total_swap') / mib,
        limitMib: Number(text('memory.limit_in_bytes')) / mib,
        kills: entry('memory.oom_control', 'oom_kill'),
      }
    : {
        usedMib: Number(text('memory.current')) / mib,
        swappedMib: Number(text('memory.swap.current')) / mib,
        limitMib: Number(text('memory.max')) / mib,
        kills: entry('memory.events', 'oom_kill'),
      };
};
