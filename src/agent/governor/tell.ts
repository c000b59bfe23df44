/** What the governor did, as events in words and numbers. */
import { formatCpu, formatMib, mibOfBytes } from '../../base/units.ts';
import type { KilledProcess } from '../../host/cgroup/pool-memory.ts';
import type { Pressure } from '../../model/machine.ts';
import type { Events } from '../events.ts';
import type { GovernedMachine, GovernorListener } from './governor.ts';
import type { MeterListener } from './meter.ts';
import type { MachineReading, Numbers } from './types.ts';

const mib = (bytes: number): number => Math.round(mibOfBytes(bytes) * 10) / 10;
const text = (bytes: number): string => formatMib(mibOfBytes(Math.max(0, bytes)));

export const tellEvents = (
  events: Pick<Events, 'emit'>,
  find: (id: string) => GovernedMachine | undefined,
  pressureOf: (id: string) => Pressure | null,
): GovernorListener => {
  const nameOf = (id: string): string => find(id)?.name ?? id;
  /** The ceiling as asked for: none is null, though the pool is one. */
  const ownDetail = (machine: string, numbers: Pick<Numbers, 'usedBytes' | 'guaranteeBytes'>) => ({
    usedMib: mib(numbers.usedBytes),
    guaranteeMib: mib(numbers.guaranteeBytes),
    borrowedMib: mib(Math.max(0, numbers.usedBytes - numbers.guaranteeBytes)),
    ceilingMib: find(machine)?.resources.memoryCeilingMib ?? null,
  });
  const detailOf = (machine: string, numbers: Numbers) => ({
    ...ownDetail(machine, numbers),
    hostAvailableMib: mib(Math.max(0, numbers.headroomBytes)),
    hostReserveMib: mib(numbers.reserveBytes),
  });
  const because = ({ claimant }: Numbers): string => (claimant === null ? 'the pool had run low' : `${nameOf(claimant)} claimed its guarantee`);
  return {
    report: (report) => {
      const { machine, numbers } = report;
      const detail = detailOf(machine, numbers);
      if (report.type === 'reclaimed')
        return events.emit(
          'governor.reclaimed',
          machine,
          `${text(numbers.reclaimedBytes)} that ${nameOf(machine)} had borrowed was taken back: ${because(numbers)}`,
          {
            ...detail,
            reclaimedMib: mib(numbers.reclaimedBytes),
            milliseconds: report.milliseconds,
            claimant: numbers.claimant,
          },
        );
      return events.emit('governor.throttled', machine, `${nameOf(machine)} is held at ${text(numbers.limitBytes)} of memory: ${because(numbers)}`, {
        resource: 'memory',
        ...detail,
        limitMib: mib(numbers.limitBytes),
        until: 'the pool has more to lend',
      });
    },
    killed: (machine, numbers, processes) =>
      events.emit(
        'governor.killed',
        machine,
        `${textOf(processes)} killed in ${nameOf(machine)}, which used ${text(numbers.usedBytes)} of ${text(numbers.guaranteeBytes)} guaranteed: ${because(numbers)}, and nothing was left to reclaim`,
        {
          ...detailOf(machine, numbers),
          reclaimedMib: mib(numbers.reclaimedBytes),
          swapFreeMib: mib(numbers.swapFreeBytes),
          pressure: pressureOf(machine)?.memory ?? null,
          claimant: numbers.claimant,
          killed: [...processes],
        },
      ),
    ranOut: (one, kills) =>
      events.emit(
        'machine.oom',
        one.id,
        `${kills === 1 ? 'a process was' : `${kills} processes were`} killed in ${nameOf(one.id)} for want of memory: ${why(one)}`,
        {
          ...ownDetail(one.id, one),
          limitMib: mib(one.limitBytes),
          kills,
        },
      ),
  };
};

/** One is named; of many, how many there were. */
const textOf = (processes: readonly KilledProcess[]): string => {
  const all = formatMib(processes.reduce((sum, { memoryMib }) => sum + memoryMib, 0));
  return processes.length === 1 ? `${processes[0]!.command} (${all}) was` : `${processes.length} processes (${all}) were`;
};

const why = ({ limitBytes, ceilingBytes }: MachineReading): string =>
  limitBytes < ceilingBytes ? `it was held at ${text(limitBytes)}, since the pool had no more to lend` : `it had reached its ceiling of ${text(ceilingBytes)}`;

export const tellMeter = (events: Events, find: (id: string) => GovernedMachine | undefined): MeterListener => ({
  emptied: (machine, usedMillis, { baselineMillis, ceilingMillis }) => {
    const governed = find(machine);
    events.emit(
      'governor.throttled',
      machine,
      `${governed?.name ?? machine} has used up its bank of bursting: ${formatCpu(baselineMillis)} cores from now on`,
      {
        resource: 'cpu',
        usedMillis: Math.round(usedMillis),
        fromMillis: ceilingMillis,
        toMillis: baselineMillis,
        guaranteeMillis: governed?.resources.cpuMillis ?? 0,
        bankSeconds: 0,
        until: `it has used less than ${formatCpu(baselineMillis)} cores for a while`,
      },
    );
  },
});
