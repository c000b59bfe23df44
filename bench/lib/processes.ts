/** What /proc says of processes. */
import { readFileSync, readdirSync } from 'node:fs';
import { memoryTable } from './host.ts';

const tickMs = 10;

/** All fields after the name, which may hold anything. */
const statOf = (pid: number): string[] => {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
};

/** User and kernel time so far, in ms. */
export const cpuMs = (pid: number): number => {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
};

export const parentOf = (pid: number): number => Number(statOf(pid)[1]);

/** Memory that is this process's own, shared pages in parts. */
export const pssMib = (pid: number): number => memoryTable(`/proc/${pid}/smaps_rollup`)['Pss'] ?? 0;

/** As `setup` keeps it: who runs, told apart from a later process of the same number. */
export const servicePid = (file: string): number => Number((JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid);

export const childrenOf = (parent: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return parentOf(pid) === parent;
      } catch {
        return false;
      }
    });
