/** The table of the figure: each measure with its value in slices and in the pool. */
import { ms, times } from '../lib/format.ts';
import { summarise } from '../lib/statistics.ts';
import type { Row } from '../lib/suite.ts';
import type { CutData, Figure1Data } from './data.ts';
import type { Cut } from './tenants.ts';
import type { StepFigures } from './load-step.ts';

export const rowsOf = (data: Figure1Data): Row[] => [...serviceRows(data), ...stepRows(data), ...costRows(data), ...methodRows(data)];

const pair = (what: string, slice: string, pool: string, note?: string): Row => ({
  what,
  value: `slices: ${slice}`,
  against: `pool: ${pool}`,
  ...(note === undefined ? {} : { note }),
});
const answeredShare = ({ answered, asked }: Pick<CutData, 'answered' | 'asked'>): string =>
  `${answered} of ${asked} (${((answered / asked) * 100).toFixed(2)} %)`;

const serviceRows = ({ cuts, together, timeoutMs, longWaitMs, sizes }: Figure1Data): Row[] => {
  const { slice, pool } = cuts;
  const shared = (one: Figure1Data['together'][Cut]) => `${answeredShare(one)}, p50 ${latency(one.p50)}`;
  const latency = (value: number | null) => (value === null ? `over ${timeoutMs} ms` : ms(value));
  const latencies = ({ p50, p99, worstTenantP99 }: CutData) => `p50 ${latency(p50)}, p99 ${latency(p99)}; the worst tenant’s p99 ${latency(worstTenantP99)}`;
  const wasted = ({ idleCoreSeconds, idleCores, waitingShare }: CutData) =>
    `${idleCoreSeconds.toFixed(1)} core seconds (${idleCores.toFixed(2)} cores for ${(waitingShare * 100).toFixed(0)} % of the day)`;
  const reports = ({ reports: { answered, refused, late, broken } }: CutData) => `${answered} done, ${refused} refused, ${late + broken} failed`;
  return [
    pair(`answered within ${timeoutMs / 1000} s`, answeredShare(slice), answeredShare(pool)),
    pair('answered a second', slice.answeredPerSecond.toFixed(1), pool.answeredPerSecond.toFixed(1), times(pool.answeredPerSecond / slice.answeredPerSecond)),
    pair('given up, and failed', `${slice.late}, ${slice.failed}`, `${pool.late}, ${pool.failed}`),
    pair('time to answer, from when it was due', latencies(slice), latencies(pool)),
    pair(`CPU left idle while a request had waited longer than ${longWaitMs} ms`, wasted(slice), wasted(pool)),
    pair(`a report that holds ${sizes.reportMib} MiB, one at each peak`, reports(slice), reports(pool), 'the app refuses what does not fit: nothing is killed'),
    pair(
      'CPU of all tenants: mean, and most over a second',
      cpu(slice, sizes.daySeconds),
      cpu(pool, sizes.daySeconds),
      `the slices have ${((sizes.sliceCpuMillis * sizes.tenants) / 1000).toFixed(1)} cores together`,
    ),
    ...(cuts.virtual === null
      ? []
      : [{ what: 'the slices as virtual machines: answered, and time to answer', value: answeredShare(cuts.virtual), against: latencies(cuts.virtual) }]),
    pair(
      'all peaks at once: answered',
      shared(together.slice),
      shared(together.pool),
      `${sizes.togetherSeconds} s, without reports: more is asked for than the host has`,
    ),
    {
      what: 'tenants that fit if each slice is as large as its peak',
      value: `${Math.floor((sizes.sliceCpuMillis * sizes.tenants) / 1000 / sizes.peakCores)} of ${sizes.tenants}`,
      note: 'computed: a peak asks for ' + `${sizes.peakCores.toFixed(2)} cores`,
    },
  ];
};

const cpu = ({ cpuSeconds, mostCores }: CutData, seconds: number): string => `${(cpuSeconds / seconds).toFixed(2)}, ${mostCores.toFixed(2)} cores`;

const speed = ({ fullSpeedMs }: StepFigures): string =>
  fullSpeedMs.map((value) => (value === null ? 'not within the test' : value === 0 ? 'at once' : ms(value))).join(', ');

const stepRows = ({ steps, machine, guest, fullSpeedLimitMs }: Figure1Data): Row[] => {
  const given = ({ late, asked }: StepFigures) => `${late} of ${asked} requests given up`;
  const answer = (values: readonly number[]) => `p50 ${ms(summarise(values).p50)} (n=${values.length})`;
  return [
    {
      what: 'load step to full speed: in the pool, nothing to do',
      value: speed(steps.nothing),
      against: given(steps.nothing),
      note: `full speed: 95 of 100 within ${fullSpeedLimitMs} ms, for a second`,
    },
    { what: 'a slice, resized at the step', value: speed(steps.resize), against: given(steps.resize), note: `the resize: ${answer(steps.resize.remedyMs)}` },
    {
      what: `${steps.machines.addedMachines} more machines of a slice, started at the step`,
      value: speed(steps.machines),
      against: given(steps.machines),
      note: `each to its first answer: ${answer(steps.machines.remedyMs)}`,
    },
    {
      what: 'one more machine, create to first answer',
      value: `without a ceiling: ${answer(machine.firstAnswerMs)}`,
      against: `in one slice: ${answer(machine.firstAnswerSliceMs)}`,
    },
    guest === null
      ? { what: 'one more virtual machine, start to first answer', value: 'not measured here' }
      : {
          what: 'one more virtual machine, start to first answer',
          value: answer(guest.firstAnswerMs),
          note: guest.accelerator === 'tcg' ? 'emulated: KVM does not start here' : 'with KVM',
        },
  ];
};

const costRows = ({ machine, guest, patch, sizes }: Figure1Data): Row[] => [
  {
    what: 'memory of an idle tenant',
    value: guest === null ? 'not measured here' : `virtual machine: ${guest.memoryMib.toFixed(0)} MiB of the ${guest.givenMib} it was given, and qemu itself`,
    against: `machine: ${(machine.appMib + machine.monitorMib).toFixed(1)} MiB (PSS of the app; ${machine.monitorMib.toFixed(1)} the monitor)`,
    note: 'what the kernel holds for a machine, some 1 MiB, is in "A thousand machines"',
  },
  {
    what: 'disk of a tenant',
    value:
      guest === null
        ? 'not measured here'
        : `virtual machine: ${guest.layerMib.toFixed(1)} MiB of its own, over ${guest.imageMib.toFixed(0)} MiB of system and app`,
    against: `machine: ${machine.diskMib.toFixed(2)} MiB of its own`,
    note: 'a virtual machine’s system is shared until it is first patched',
  },
  {
    what: 'operating systems to patch',
    value: guest === null ? `${sizes.tenants} and the host’s` : `${sizes.tenants}, with ${guest.packages} packages each, and the host’s`,
    against: '1: the host’s',
    note: 'a system: a kernel, and a tree with a package database of its own',
  },
  ...(patch === null
    ? []
    : [
        {
          what: 'a package upgraded on the host, seen in running machines',
          value: `${patch.seeIt} of ${patch.machines}`,
          against: `dpkg ${ms(patch.patchMs)}, all asked within ${ms(patch.seenMs)}`,
          note: `all rebooted one after another, each answering again: ${ms(patch.rebootAllMs)}`,
        },
      ]),
];

const methodRows = ({ cuts, sizes, costMs, peakRate, guaranteeCpuMillis, missing }: Figure1Data): Row[] => [
  {
    what: 'load generator: CPU, and how late it sent (p99)',
    value: `${cuts.slice.generatorCores.toFixed(2)} cores, ${ms(cuts.slice.sendLagP99)}`,
    against: `${cuts.pool.generatorCores.toFixed(2)} cores, ${ms(cuts.pool.sendLagP99)}`,
    note: `of ${sizes.reserveCores} cores that are not cut; other programs took ${cuts.slice.otherCores.toFixed(2)} and ${cuts.pool.otherCores.toFixed(2)} cores`,
  },
  {
    what: 'the load',
    value: `${sizes.tenants} tenants, ${sizes.daySeconds} s, ${peakRate.toFixed(0)} requests a second at a peak, ${costMs.toFixed(2)} ms of CPU each`,
    against: `guaranteed ${guaranteeCpuMillis / 1000} cores and ${sizes.sliceMemoryMib} MiB each`,
  },
  ...missing.map((why) => ({ what: 'not measured here', value: why })),
];
