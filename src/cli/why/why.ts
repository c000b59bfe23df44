import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import type { Machine } from '../../model/control-api.ts';
import { defineCommand, one } from '../command.ts';
import type { Context } from '../context.ts';
import { formatCpuRange, formatDuration, formatSizeRange } from '../format.ts';
import { formatCores, formatMib } from '../../base/units.ts';
import { reportPool } from '../pool/report.ts';
import type { MachineReport, PoolReport } from '../pool/report.ts';
import { cores } from '../pool/tables.ts';
import { selectMachine } from '../select.ts';
import { explain, explainNever } from './explain.ts';
import type { Reason } from './explain.ts';

const lookMs = 1000;

export const command = defineCommand({
  detail:
    'What is true now is measured over a second; what happened comes from recorded events and jobs, with the numbers of the moment. Of a name that no machine has, for want of what it was not made; other refusals are told when they happen.',
  args: { name: one('NAME', 'machine') },
  flags: {},
  examples: ['why web', 'why web --json'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name).catch((error: unknown) => whyNever(context, args.name, flags.json, error));
    if (machine === null) return;
    const control = await context.control();
    const call = { signal: context.signal };
    const [pool, jobs, events] = await Promise.all([
      machine.state === 'running' ? lookTwice(context) : null,
      control.machineJobs(machine.id, call),
      Array.fromAsync(control.events({ subject: machine.id }, call)),
    ]);
    const reasons = explain({ machine, jobs, events: events.flat(), pool, now: Date.now() });
    const now = pool?.machines.find(({ id }) => id === machine.id) ?? null;
    if (flags.json) return context.output.json({ machine: machine.name, state: machine.state, now, reasons });
    context.output.line(summary(machine, now));
    if (machine.state === 'running' && pool === null)
      context.output.note('what the pool is at this moment is told to the operator only: this is what is on record');
    if (reasons.length === 0) context.output.line('Nothing holds it back, and nothing was taken from it or refused to it.');
    else if (pool !== null && reasons.every(({ at }) => at !== null)) context.output.line('Nothing holds it back now. What happened:');
    tellAll(context, reasons);
  },
});

const tellAll = (context: Context, reasons: readonly Reason[]): void => {
  for (const { kind, says } of reasons) context.output.line(`- ${kind}: ${says}`);
};

/** There is none of that name, and it is on record why not; else it is the usual error. */
const whyNever = async (context: Context, name: string, json: boolean, error: unknown): Promise<null> => {
  if (!(error instanceof CenoteError) || error.code !== 'not_found') throw error;
  const control = await context.control();
  const events = await Array.fromAsync(control.events({ subject: name }, { signal: context.signal }));
  const reasons = explainNever(name, events.flat(), Date.now());
  if (reasons.length === 0) throw error;
  if (json) context.output.json({ machine: name, state: null, now: null, reasons });
  else {
    context.output.line(`There is no machine ${name}.`);
    tellAll(context, reasons);
  }
  return null;
};

/** Null for an account: of the pool, which is everyone's, it is told nothing. */
const lookTwice = async (context: Context): Promise<PoolReport | null> => {
  const control = await context.control();
  const before = await control.pool({ signal: context.signal }).catch((error: unknown) => {
    if (error instanceof CenoteError && error.code === 'forbidden') return null;
    throw error;
  });
  if (before === null) return null;
  await sleep(lookMs, undefined, { signal: context.signal });
  return reportPool(before, await control.pool({ signal: context.signal }));
};

const summary = (machine: Machine, own: MachineReport | null): string => {
  if (own === null) return `${machine.name} is ${machine.state}.`;
  const { cpuMillis, cpuCeilingMillis, memoryMib, memoryCeilingMib } = machine.resources;
  const cpu = `${cores(own.cpu.usedMillis)} cores (${formatCpuRange(cpuMillis, cpuCeilingMillis)})`;
  const memory = `${formatMib(own.memory.usedMib)} of memory (${formatSizeRange(memoryMib, memoryCeilingMib)})`;
  return `${machine.name} runs. It uses ${cpu} and ${memory}.${bank(machine, own)}`;
};

/** Of metered bursting, what is left, and what there was. */
const bank = ({ resources: { burst } }: Machine, { burst: used }: MachineReport): string => {
  if (burst === null || used === null) return '';
  const { bankSeconds, effectiveCeilingMillis, aboveBaseSeconds, belowBaseSeconds } = used;
  const ceiling = `${bankSeconds.toFixed(1)} s of ${burst.burstSeconds} s are in its bank, and its ceiling is ${formatCores(effectiveCeilingMillis)} now`;
  const base = `its baseline of ${formatCores(burst.baselineMillis)}`;
  return `\n${ceiling}; it was above ${base} for ${formatDuration(aboveBaseSeconds)} and below for ${formatDuration(belowBaseSeconds)}.`;
};
