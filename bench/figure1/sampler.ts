/** What the CPU did, four times a second: each machine's part by its control group, and what nobody used. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ifPresent, readNumber, readTable } from '../../src/host/cgroup/files.ts';
import { detectLayout } from '../../src/host/cgroup/layout.ts';

export interface Sample {
  /** From the beginning of the load to the end of the sample. */
  atMs: number;
  lengthMs: number;
  /** Cores that nobody used. */
  idle: number;
  /** Cores of each tenant. */
  tenants: number[];
  /** What all machines together hold. */
  memoryMib: number;
}

export interface Sampler extends Disposable {
  /** Ends it. Samples from `begunNs` on. */
  stop(begunNs: bigint): Sample[];
}

interface Reading {
  atNs: bigint;
  idleMs: number;
  tenantsMs: number[];
  memoryMib: number;
}

const everyMs = 250;
const tickMs = 10;

export interface Sampled {
  /** CPU time so far of each tenant. */
  cpuMs: readonly (() => number)[];
  memoryMib(): number;
}

export const startSampler = ({ cpuMs, memoryMib }: Sampled): Sampler => {
  const read = (): Reading => ({
    atNs: process.hrtime.bigint(),
    idleMs: idleTicks() * tickMs,
    tenantsMs: cpuMs.map((taken) => taken()),
    memoryMib: memoryMib(),
  });
  const readings = [read()];
  const timer = setInterval(() => readings.push(read()), everyMs);
  return {
    stop: (begunNs) => {
      clearInterval(timer);
      return differences([...readings, read()], begunNs);
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
};

const differences = (readings: readonly Reading[], begunNs: bigint): Sample[] =>
  readings.slice(1).flatMap((reading, index): Sample[] => {
    const before = readings[index]!;
    const lengthMs = Number(reading.atNs - before.atNs) / 1e6;
    if (before.atNs < begunNs || lengthMs < everyMs / 2) return [];
    return [
      {
        atMs: Number(reading.atNs - begunNs) / 1e6,
        lengthMs,
        idle: (reading.idleMs - before.idleMs) / lengthMs,
        tenants: reading.tenantsMs.map((ms, tenant) => (ms - before.tenantsMs[tenant]!) / lengthMs),
        memoryMib: reading.memoryMib,
      },
    ];
  });

/** The machines of an instance, by their control groups, in either version's files. */
export const sampledMachines = (instance: string, machines: readonly string[]): Sampled => {
  const { v1, unified } = detectLayout();
  const parent = `cenote-${instance}`;
  const [accounting, memory] = [v1.get('cpuacct'), v1.get('memory')];
  const cpuMs = (group: string): number =>
    accounting === undefined
      ? (readTable(join(unified!, group), 'cpu.stat')['usage_usec'] ?? 0) / 1000
      : readNumber(join(accounting, group), 'cpuacct.usage') / 1e6;
  return {
    cpuMs: machines.map((id) => () => ifPresent(() => cpuMs(`${parent}/${id}`)) ?? 0),
    memoryMib: () =>
      (memory === undefined ? readNumber(join(unified!, parent), 'memory.current') : readNumber(join(memory, parent), 'memory.usage_in_bytes')) / 2 ** 20,
  };
};

/** Of all cores together. What waits for a disk counts as idle: the CPU is. */
const idleTicks = (): number => {
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/);
  return Number(fields[4]) + Number(fields[5]);
};
