/** Why a machine is slow, or was reclaimed, throttled, killed or refused: from what is recorded and from what is true now, in words with numbers. Pure. */
import { Check } from 'typebox/schema';
import { formatCpu, formatMib } from '../../base/units.ts';
import type { Machine } from '../../model/control-api.ts';
import type { DroppedPackets } from '../../model/machine.ts';
import type { Resources } from '../../model/resources.ts';
import { eventDetails } from '../../model/event.ts';
import type { Event, EventDetails, Job } from '../../model/event.ts';
import { formatAge, formatDuration, formatMbps, plural } from '../format.ts';
import { isRefused } from '../jobs.ts';
import { checkWords } from '../machine/check-words.ts';
import { isRetried, retrySentence } from '../machine/restart-words.ts';
import { formatRestart } from '../values.ts';
import type { MachineReport, PoolReport } from '../pool/report.ts';
import { cores, mbps, mibps } from '../pool/tables.ts';

export interface Reason {
  kind: 'pending' | 'slow' | 'throttled' | 'reclaimed' | 'killed' | 'refused' | 'failed';
  /** Null: it is so now. */
  at: string | null;
  says: string;
}

export interface Known {
  machine: Machine;
  /** Newest first. */
  jobs: readonly Job[];
  events: readonly Event[];
  /** Null when it could not be asked for. */
  pool: PoolReport | null;
  now: number;
}

const notablePressure = 10;
/** Of a limit: at it, for all that matters. */
const nearly = 0.9;
const nearlyFull = 0.95;
/** Of a quota, what is too little to write to; of the pool's disk, the part of it that is as good as none. */
const noRoomMib = 2;
const noRoom = 0.01;
/** Of what it has in memory and swap: less in swap is what it has not touched since it began. */
const notableSwap = 0.05;
/** In seconds, summed over CPUs: less is what every ceiling does at a peak. */
const notableThrottled = 5;
const mostOfAKind = 5;
/** The governor looks once a second for what the kernel has killed. */
const sameEndMs = 2000;
/** Thousandths of a core that would make a difference. */
const worthAsking = 100;

/** What is so now first, then what happened, the newest first. */
export const explain = (known: Known): Reason[] => {
  const state = fromState(known);
  const events = state.length > 0 ? withoutLastEnd(known) : known.events;
  const happened = [...fromEvents({ ...known, events }), ...fromJobs(known), ...throttledBefore(known)].toSorted((one, other) =>
    one.at! < other.at! ? 1 : -1,
  );
  return [...state, ...fromHealth(known), ...pending(known), ...fromPool(known), ...happened];
};

const fromState = ({ machine, now }: Known): Reason[] => {
  const { exit, error, restarts } = machine;
  const kind = exit?.outOfMemory === true ? 'killed' : 'failed';
  if (isRetried(machine, now)) return [{ kind, at: null, says: retrySentence(machine, now) }];
  const again = restarts === 0 ? '' : `; it was started again ${plural(restarts, 'time')}`;
  if (machine.state === 'running')
    return restarts === 0 || exit === null
      ? []
      : [{ kind, at: exit.at, says: `${ago(exit.at, now)}: it ended (${exit.reason})${again} since it was last asked to run` }];
  if (exit?.outOfMemory === true) return [{ kind, at: null, says: `it does not run: ${exit.reason}${again}${higherCeiling(machine)}` }];
  if (machine.state !== 'failed') return [];
  const why = error ?? exit?.reason ?? 'no reason is known';
  const tries = restarts === 0 ? '' : `${again}, and its restart policy is ${formatRestart(machine.restart)}`;
  return [{ kind, at: null, says: `it does not run: ${why}${tries}` }];
};

const fromHealth = ({ machine: { id, state, health }, events, now }: Known): Reason[] => {
  if (state !== 'running' || health !== 'unhealthy') return [];
  const last = events.findLast(({ type, subject }) => subject === id && type === 'machine.health');
  if (last === undefined || !Check(eventDetails['machine.health'], last.detail)) return [{ kind: 'failed', at: null, says: 'its health check fails' }];
  return [{ kind: 'failed', at: null, says: `it is unhealthy since ${ago(last.at, now)}: its health check failed: ${checkWords(last.detail.check)}` }];
};

/** Of the end that its state tells of, the events say it once more: that it ended, and that the kernel killed in it then. */
const withoutLastEnd = ({ machine: { id, exit }, events }: Known): readonly Event[] => {
  if (exit === null) return events;
  const last = events.findLast(({ type, subject }) => subject === id && type === 'machine.exited');
  const isOfThatEnd = ({ type, at, subject }: Event): boolean =>
    subject === id && exit.outOfMemory && type === 'machine.oom' && Math.abs(Date.parse(at) - Date.parse(exit.at)) < sameEndMs;
  return events.filter((event) => event !== last && !isOfThatEnd(event));
};

const fromPool = ({ machine, pool }: Known): Reason[] => {
  const own = pool?.machines.find(({ id }) => id === machine.id);
  if (pool === null || own === undefined) return [];
  const says = [cpuNow(machine, own, pool), memoryNow(machine, own, pool), diskNow(machine, own, pool), networkNow(own), processesNow(machine, own)].flat();
  return says.map(([kind, text]) => ({ kind, at: null, says: text }));
};

/** Before now, by the kernel's own count, which nobody has to keep. */
const throttledBefore = ({ machine, pool, now }: Known): Reason[] => {
  const { throttledSeconds = 0, throttledInAllSeconds: seconds = 0 } = pool?.machines.find(({ id }) => id === machine.id)?.cpu ?? {};
  if (throttledSeconds > 0 || seconds < notableThrottled || machine.startedAt === null) return [];
  const says = `since it was started, ${ago(machine.startedAt, now)}, its processes waited ${formatDuration(seconds)} in all at ${machine.resources.burst === null ? 'a CPU ceiling' : 'its baseline or a CPU ceiling'}`;
  return [{ kind: 'throttled', at: machine.startedAt, says }];
};

/** The oldest first: they are done in that order. */
const pending = ({ jobs, now }: Known): Reason[] =>
  jobs
    .filter(({ finishedAt }) => finishedAt === null)
    .toReversed()
    .map(({ action, state, createdAt, reason }) => ({
      kind: 'pending',
      at: null,
      says: `${action} was asked for ${ago(createdAt, now)} and ${state === 'running' ? 'is under way' : 'waits for its turn'}${reason === null ? '' : `: ${reason}`}`,
    }));

type Said = [kind: Reason['kind'], says: string][];

const cpuNow = ({ name }: Machine, { cpu, resources, pressure, burst: bank }: MachineReport, { resources: rows }: PoolReport): Said => {
  const { cpuMillis, cpuCeilingMillis, burst } = resources;
  const row = rows.find(({ resource }) => resource === 'cpu')!;
  const idle = row.free ?? 0;
  if (burst !== null && bank !== null && cpu.throttledSeconds > 0 && bank.effectiveCeilingMillis <= burst.baselineMillis) {
    const bursts = `${cores(bank.effectiveCeilingMillis)} cores instead of ${cpuCeilingMillis === null ? 'all' : formatCpu(cpuCeilingMillis)}`;
    const filled = `${bank.bankSeconds.toFixed(1)} s of ${burst.burstSeconds} s are in the bank`;
    return [
      [
        'throttled',
        `its bank of bursting is empty: its CPU ceiling is ${bursts} until it has saved some; ${filled}, its processes waited ${cpu.throttledSeconds.toFixed(2)} s in the last second`,
      ],
    ];
  }
  if (cpuCeilingMillis !== null && cpu.throttledSeconds > 0) {
    const ceiling = `its CPU ceiling of ${formatCpu(cpuCeilingMillis)} cores`;
    const advice =
      idle < worthAsking
        ? 'no more is idle on the host either'
        : `${cores(idle)} cores are idle on the host: cenote resize ${name} --cpu-ceiling none would let it have them`;
    return [['throttled', `${ceiling} holds it back: its processes waited ${cpu.throttledSeconds.toFixed(2)} s in the last second; ${advice}`]];
  }
  const isHostBusy = idle < (row.capacity ?? 0) * (1 - nearlyFull);
  if (!isHostBusy || cpu.usedMillis < cpuMillis * nearly || (pressure !== null && pressure.cpu < notablePressure)) return [];
  const waits = pressure === null ? '' : `, and waits for more ${Math.round(pressure.cpu)} % of the time`;
  return [
    [
      'slow',
      `the host's CPUs are busy: it has ${cores(cpu.usedMillis)} cores, its guarantee is ${formatCpu(cpuMillis)}${waits}. A larger guarantee: cenote resize ${name} --cpu CORES`,
    ],
  ];
};

const memoryNow = (machine: Machine, { memory, resources, pressure }: MachineReport, { resources: rows }: PoolReport): Said => {
  const said: Said = [];
  const row = rows.find(({ resource }) => resource === 'memory')!;
  const poolMib = (row.capacity ?? 0) - (row.reserve ?? 0) - (row.elsewhere ?? 0);
  const ceilingMib = Math.min(resources.memoryCeilingMib ?? Infinity, poolMib);
  const held = `it uses ${formatMib(memory.usedMib)}, its guarantee is ${formatMib(resources.memoryMib)}`;
  if (memory.limitMib < Math.floor(ceilingMib)) {
    said.push(['reclaimed', `it may have no more than ${formatMib(memory.limitMib)} of memory until the pool has more to lend; ${held}`]);
  } else if (memory.ownMib > memory.limitMib * nearly) {
    said.push([
      'slow',
      `it is at its memory ceiling: ${formatMib(memory.usedMib)} of ${formatMib(memory.limitMib)}, of which only ${formatMib(memory.usedMib - memory.ownMib)} are file caches that can be dropped; programs may be killed${higherCeiling(machine)}`,
    ]);
  }
  said.push(...swapNow(machine, memory, resources));
  if (pressure !== null && pressure.memory >= notablePressure) said.push(['slow', `it waits for memory ${Math.round(pressure.memory)} % of the time; ${held}`]);
  return said;
};

/** What it has there by the pool's need, or by somebody else's. */
const swapNow = ({ name }: Machine, { usedMib, swappedMib }: MachineReport['memory'], { memoryMib }: Resources): Said => {
  const totalMib = usedMib + swappedMib;
  if (swappedMib === 0 || swappedMib < totalMib * notableSwap) return [];
  const says = `${formatMib(swappedMib)} of its memory is in swap: it waits when it needs that again`;
  return totalMib > memoryMib
    ? [['slow', `${says}. It is beyond its guarantee of ${formatMib(memoryMib)}: cenote resize ${name} --memory SIZE`]]
    : [['slow', `${says}. It is within its guarantee of ${formatMib(memoryMib)}: cenote doctor says whether the host swaps what is idle`]];
};

const diskNow = (
  { name }: Machine,
  { io, resources: { diskMib, ioReadMibps, ioWriteMibps }, diskUsedMib, pressure }: MachineReport,
  pool: PoolReport,
): Said => {
  const said: Said = [];
  for (const [what, used, limit] of [
    ['reads', io.readMibps, ioReadMibps],
    ['writes', io.writeMibps, ioWriteMibps],
  ] as const) {
    if (limit !== null && used >= limit * nearly) said.push(['throttled', `it ${what} ${mibps(used)} from its disk, of at most ${mibps(limit)}`]);
  }
  if (said.length === 0 && pressure !== null && pressure.io >= notablePressure) {
    said.push(['slow', `it waits for the disk ${Math.round(pressure.io)} % of the time; it reads ${mibps(io.readMibps)} and writes ${mibps(io.writeMibps)}`]);
  }
  const isFull = diskUsedMib > diskMib - noRoomMib;
  if (isFull || diskUsedMib >= diskMib * nearlyFull) {
    said.push([
      isFull ? 'refused' : 'slow',
      `its disk is ${isFull ? '' : 'nearly '}full: ${formatMib(diskUsedMib)} of ${formatMib(diskMib)} with its snapshots; ${isFull ? '' : 'at the end '}writes fail with "Disk quota exceeded". Delete files and snapshots, or: cenote resize ${name} --disk SIZE`,
    ]);
  }
  return [...said, ...poolDiskNow(pool)];
};

/** Only where more is promised than there is, or the file system needs more for itself than is kept for it. */
const poolDiskNow = ({ resources: rows }: PoolReport): Said => {
  const { capacity, free } = rows.find(({ resource }) => resource === 'disk')!;
  if (capacity === null || free === null || free > capacity * noRoom) return [];
  return [
    [
      'refused',
      `the pool's disk is full: ${formatMib(free)} of ${formatMib(capacity)} are free; writes fail with "No space left on device", also within its quota. cenote pool shows who has how much; cenote up --pool-size SIZE makes it larger`,
    ],
  ];
};

const networkNow = ({ network, resources }: MachineReport): Said => {
  const { networkCeilingMbps: ceiling } = resources;
  const most = Math.max(network.receivedMbps, network.sentMbps);
  const full: Said =
    ceiling === null || most < ceiling * nearly ? [] : [['throttled', `its link is full: ${mbps(most)} Mbit/s of at most ${formatMbps(ceiling)}`]];
  return [...full, ...droppedWords(network.dropped).map((says): Said[number] => ['refused', says])];
};

/** Counted at its links; the whole network's are in docs/networks.md. */
const droppedWords = (dropped: DroppedPackets): string[] =>
  (Object.entries(dropped) as [keyof DroppedPackets, number][]).map(([reason, count]) => `${plural(count, 'packet')} dropped: ${dropWords[reason]}`);

const dropWords: Readonly<Record<keyof DroppedPackets, string>> = {
  spoofed: 'it sent them from an address or MAC that it has not',
  refused: 'it sent them where machines may not send, such as services of the host',
  strangers: 'they were for it, from outside its network, to no published port',
  malformed: 'their checksums, flags or headers were wrong, or they belonged to no connection that there is',
  crowded: 'it has so many connections that others would get none, and begins none until it has fewer',
  blocked: 'by its firewall, in the last day: cenote firewall test says by which rule',
};

/** Counted by the kernel, and asked only now: a machine that does not reach its limit costs nothing. */
const processesNow = ({ name }: Machine, { processes: { running, refused }, resources }: MachineReport): Said => {
  if (refused === 0) return [];
  const times = refused === 1 ? 'once' : `${refused} times`;
  const more = `More of them: cenote resize ${name} --processes N`;
  return [['refused', `it has reached its limit of processes ${times} since it was started; now it has ${running} of ${resources.processes}. ${more}`]];
};

/** Where a ceiling of its own is what it met. */
const higherCeiling = ({ name, resources: { memoryCeilingMib } }: Machine): string =>
  memoryCeilingMib === null ? '' : `. A higher ceiling: cenote resize ${name} --memory-ceiling SIZE`;

/** Health is told of as it is now. */
type Tellers = {
  [T in Exclude<keyof EventDetails, 'machine.health'>]: (
    detail: EventDetails[T],
    nameOf: (id: string | null) => string,
    machine: Machine,
  ) => [Reason['kind'], string];
};

const memoryOf = ({ usedMib, guaranteeMib, borrowedMib }: { usedMib: number; guaranteeMib: number; borrowedMib: number }): string =>
  `it used ${formatMib(usedMib)}, ${formatMib(borrowedMib)} above its guarantee of ${formatMib(guaranteeMib)}`;
const hostOf = ({ hostAvailableMib, hostReserveMib }: { hostAvailableMib: number; hostReserveMib: number }): string =>
  `${formatMib(hostAvailableMib)} of the pool were free, which keeps ${formatMib(hostReserveMib)}`;

const waited = (pressure: number | null): string =>
  pressure === null ? '' : `; something in it had waited for memory ${Math.round(pressure)} % of ten seconds`;

const refusedWords = (action: string, reason: string): string => `${action} was refused: ${reason}`;

const tellers: Tellers = {
  'governor.reclaimed': (detail, nameOf) => [
    'reclaimed',
    `${formatMib(detail.reclaimedMib)} of borrowed memory was taken back in ${Math.round(detail.milliseconds)} ms for ${nameOf(detail.claimant)}: ${memoryOf(detail)}; ${hostOf(detail)}`,
  ],
  'governor.throttled': (detail) => {
    switch (detail.resource) {
      case 'cpu':
        return [
          'throttled',
          `its bank of bursting was empty: its CPU ceiling went from ${formatCpu(detail.fromMillis)} to ${formatCpu(detail.toMillis)} cores (it used ${cores(detail.usedMillis)}), until ${detail.until}`,
        ];
      case 'memory':
        return ['throttled', `its memory was held at ${formatMib(detail.limitMib)} until ${detail.until}: ${memoryOf(detail)}; ${hostOf(detail)}`];
    }
  },
  'governor.killed': (detail, nameOf) => [
    'killed',
    `${detail.killed.map(({ command, pid, memoryMib }) => `${command} (process ${pid}, ${formatMib(memoryMib)})`).join(', ')} was killed for ${nameOf(detail.claimant)}, after ${formatMib(detail.reclaimedMib)} had been taken back and nothing more could be: ${memoryOf(detail)}; ${hostOf(detail)}, swap had ${formatMib(detail.swapFreeMib)} free${waited(detail.pressure)}`,
  ],
  'machine.oom': (detail, _nameOf, machine) => {
    const killed = `the kernel killed ${detail.kills === 1 ? 'a process' : `${detail.kills} processes`} in it at`;
    const isOwn = detail.ceilingMib !== null && detail.limitMib >= detail.ceilingMib;
    return [
      'killed',
      isOwn
        ? `${killed} its memory ceiling of ${formatMib(detail.limitMib)}: ${memoryOf(detail)}${higherCeiling(machine)}`
        : `${killed} ${formatMib(detail.limitMib)}, beyond which the pool had no more to lend: ${memoryOf(detail)}. A larger guarantee: cenote resize ${machine.name} --memory SIZE`,
    ];
  },
  'machine.refused': ({ action, reason }) => ['refused', refusedWords(action, reason)],
};

const isTold = (type: string): type is keyof Tellers => Object.hasOwn(tellers, type);

const fromEvents = ({ machine, events, pool, now }: Known): Reason[] => {
  const nameOf = (id: string | null): string => (id === null ? 'the host itself' : (pool?.machines.find((each) => each.id === id)?.name ?? 'a neighbour'));
  const told = events.filter(({ type, subject }) => subject === machine.id && (isTold(type) || type === 'machine.exited'));
  const newest = [...Map.groupBy(told, ({ type }) => type).values()].flatMap((each) => each.slice(-mostOfAKind));
  return newest.flatMap((event): Reason[] => {
    if (event.type === 'machine.exited') {
      // What it says begins with the machine's name.
      const ended = event.message.slice(event.message.indexOf(' ') + 1);
      return event.detail['outOfMemory'] === true ? [{ kind: 'killed', at: event.at, says: `${ago(event.at, now)}: ${ended}` }] : [];
    }
    if (!isTold(event.type)) return [];
    const [kind, says] = tell(event.type, event.detail, nameOf, machine) ?? ['slow', event.message];
    return [{ kind, at: event.at, says: `${ago(event.at, now)}: ${says}` }];
  });
};

/** Of a name that no machine has: what became of those that were to have it. The newest first. */
export const explainNever = (name: string, events: readonly Event[], now: number): Reason[] =>
  events
    .filter(({ type, subject, detail }) => type === 'machine.refused' && subject === name && Check(eventDetails['machine.refused'], detail))
    .slice(-mostOfAKind)
    .toReversed()
    .map(({ at, detail }) => ({ kind: 'refused', at, says: `${ago(at, now)}: ${refusedWords('create', String(detail['reason']))}` }));

/** Null for details of another version's shape: then the event's own words have to do. */
const tell = <T extends keyof Tellers>(
  type: T,
  detail: Record<string, unknown>,
  nameOf: (id: string | null) => string,
  machine: Machine,
): [Reason['kind'], string] | null => (Check(eventDetails[type], detail) ? tellers[type](detail as unknown as EventDetails[T], nameOf, machine) : null);

const fromJobs = ({ jobs, now }: Known): Reason[] =>
  jobs
    .filter(({ state, reason }) => state === 'failed' && reason !== null)
    .slice(0, mostOfAKind)
    .map((job) => {
      const at = job.finishedAt ?? job.createdAt;
      const isRefusal = isRefused(job);
      return { kind: isRefusal ? 'refused' : 'failed', at, says: `${ago(at, now)}: ${job.action} ${isRefusal ? 'was refused' : 'failed'}: ${job.reason}` };
    });

const ago = (at: string, now: number): string => `${formatAge(at, now)} ago`;
