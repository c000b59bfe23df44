/** The pool as it is at one moment. What grows (CPU time, bytes) is compared between two of them; nothing is counted while nobody asks. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Overcommit } from './instance.ts';
import { MachineUsage, Pressure } from './machine.ts';
import { PoolSize, Resources } from './resources.ts';

const closed = { additionalProperties: false } as const;
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

export const PoolMachine = Type.Object({ name: Type.String(), resources: Resources, usage: MachineUsage }, closed);
export type PoolMachine = Static<typeof PoolMachine>;

export const PoolStatus = Type.Object(
  {
    /** Milliseconds of a clock that only goes forward. */
    clockMs: Type.Number(),
    /** The whole host, with all that runs on it. */
    host: Type.Object(
      {
        name: Type.String(),
        kernel: Type.String(),
        cpuMillis: Type.Integer(),
        cpuBusySeconds: Type.Number(),
        memoryMib: Type.Number(),
        memoryAvailableMib: Type.Number(),
        swapMib: Type.Number(),
        swapFreeMib: Type.Number(),
        pressure: nullable(Pressure),
      },
      closed,
    ),
    /** Kept for the host itself: never promised. */
    reserve: Type.Object({ cpuMillis: Type.Integer(), memoryMib: Type.Integer(), diskMib: Type.Integer(), networkMbps: nullable(Type.Integer()) }, closed),
    /** What this instance has of the host. */
    share: Type.Object({ cpuMillis: Type.Integer(), memoryMib: Type.Integer(), diskMib: Type.Integer() }, closed),
    overcommit: Overcommit,
    /** What its machines may be guaranteed: the share, times the ratio. */
    pool: PoolSize,
    guaranteed: Type.Object({ cpuMillis: Type.Integer(), memoryMib: Type.Integer(), diskMib: Type.Integer(), networkMbps: Type.Integer() }, closed),
    disk: Type.Object({ totalMib: Type.Number(), usedMib: Type.Number(), readBytes: nullable(Type.Number()), writtenBytes: nullable(Type.Number()) }, closed),
    /** Null where nobody has said what it carries. Sent by all that runs on the host; null where nothing is shaped. */
    uplink: nullable(Type.Object({ capacityMbps: Type.Integer(), sentBytes: nullable(Type.Number()) }, closed)),
    /** Those that run. */
    machines: Type.Array(PoolMachine),
    /** Of what is guaranteed, what is kept for those that do not. */
    stopped: Type.Object({ machines: Type.Integer(), cpuMillis: Type.Integer(), memoryMib: Type.Integer(), diskMib: Type.Integer() }, closed),
  },
  closed,
);
export type PoolStatus = Static<typeof PoolStatus>;
