/** What a machine is guaranteed, and what it may take when the pool has spare. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { CenoteError } from '../base/errors.ts';
import { defaultResources } from './default-resources.ts';
import { least, mostProcesses } from './resource-limits.ts';

const closed = { additionalProperties: false } as const;
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const rate = (most: number) => nullable(Type.Integer({ minimum: 1, maximum: most }));

/** Metered bursting: how long a machine may work above its baseline before its ceiling comes down to it. */
export const CpuBurst = Type.Object(
  {
    /** What it may use without end; at least its guarantee, below its ceiling. */
    baselineMillis: Type.Integer({ minimum: 10, maximum: 10_000_000 }),
    /**
     * The bank, in seconds at the ceiling. What is used above the baseline is taken out, what is left unused below it is paid in; while it
     * is empty the baseline is the ceiling.
     */
    burstSeconds: Type.Integer({ minimum: 1, maximum: 86_400 }),
  },
  closed,
);
export type CpuBurst = Static<typeof CpuBurst>;

export const Resources = Type.Object(
  {
    /** CPU guarantee, thousandths of a core. */
    cpuMillis: Type.Integer({ minimum: 1, maximum: 10_000_000 }),
    /** The most CPU it may take; null is the whole host. */
    cpuCeilingMillis: nullable(Type.Integer({ minimum: least.cpuCeilingMillis, maximum: 10_000_000 })),
    /** Null: it may stay at its ceiling for ever. */
    burst: nullable(CpuBurst),
    /** Memory guarantee, MiB. */
    memoryMib: Type.Integer({ minimum: least.memoryMib, maximum: 1024 * 1024 * 1024 }),
    /** The most memory it may take; null is the whole pool. */
    memoryCeilingMib: nullable(Type.Integer({ minimum: least.memoryMib, maximum: 1024 * 1024 * 1024 })),
    /** Disk quota, MiB: all the machine and its snapshots hold. */
    diskMib: Type.Integer({ minimum: least.diskMib, maximum: 1024 * 1024 * 1024 }),
    /** Processes and threads at once. */
    processes: Type.Integer({ minimum: least.processes, maximum: mostProcesses }),
    /** Its share of the disk's time when several want it, relative to the others' weights. */
    ioWeight: Type.Integer({ minimum: 1, maximum: 1000 }),
    /** The most it may read and write; null is no limit. */
    ioReadMibps: rate(1024 * 1024),
    ioWriteMibps: rate(1024 * 1024),
    ioReadIops: rate(100_000_000),
    ioWriteIops: rate(100_000_000),
    /** Network guarantee, Mbit/s each way, set aside of the host's uplink where its capacity is known. */
    networkMbps: Type.Integer({ minimum: 0, maximum: 10_000_000 }),
    /** The most its link carries each way, Mbit/s; null is no limit. */
    networkCeilingMbps: rate(10_000_000),
  },
  closed,
);
export type Resources = Static<typeof Resources>;

/** What is set aside for a machine, and never promised twice. */
export const guaranteeKeys = ['cpuMillis', 'memoryMib', 'diskMib', 'networkMbps'] as const;
export type Guarantees = Pick<Resources, (typeof guaranteeKeys)[number]>;

/** What all machines of an instance may be guaranteed together. */
export const PoolSize = Type.Object(
  {
    cpuMillis: Type.Integer(),
    memoryMib: Type.Integer(),
    diskMib: Type.Integer(),
    /** Null where nobody has said what the uplink carries: then nothing is set aside of it. */
    networkMbps: nullable(Type.Integer()),
  },
  closed,
);
export type PoolSize = Static<typeof PoolSize>;

export const noGuarantees: Readonly<Guarantees> = { cpuMillis: 0, memoryMib: 0, diskMib: 0, networkMbps: 0 };

export const guaranteesOf = ({ cpuMillis, memoryMib, diskMib, networkMbps }: Guarantees): Guarantees => ({ cpuMillis, memoryMib, diskMib, networkMbps });

/** What is left of the one without the other; negative where that has more. */
export const guaranteesWithout = (from: Guarantees, less: Guarantees): Guarantees => ({
  cpuMillis: from.cpuMillis - less.cpuMillis,
  memoryMib: from.memoryMib - less.memoryMib,
  diskMib: from.diskMib - less.diskMib,
  networkMbps: from.networkMbps - less.networkMbps,
});

/** A package's version never changes; a change of the package is its next version. */
export const PackageRef = Type.Object({ name: Type.String(), version: Type.Integer({ minimum: 1 }) }, closed);
export type PackageRef = Static<typeof PackageRef>;

/** A named set of resources. */
export const Package = Type.Object({ name: Type.String(), version: Type.Integer({ minimum: 1 }), resources: Resources, createdAt: Type.String() }, closed);
export type Package = Static<typeof Package>;

/** A resource that a host cannot honour, and why. */
export const Unsupported = Type.Object({ field: Type.String(), reason: Type.String() }, closed);
export type Unsupported = Static<typeof Unsupported>;

/** Nothing is silently ignored: what a host cannot honour is refused before anything has changed. */
export const refuseUnsupported = (resources: Resources, unsupported: readonly Unsupported[]): void => {
  const refused = unsupported.filter(({ field }) => resources[field as keyof Resources] !== defaultResources[field as keyof Resources]);
  if (refused.length === 0) return;
  throw new CenoteError('unsupported', refused.map(({ field, reason }) => `${field}: ${reason}`).join('; '), {
    fields: refused.map(({ field, reason }) => ({ field: `resources.${field}`, message: reason })),
  });
};
