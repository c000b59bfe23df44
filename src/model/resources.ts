/** What a machine is guaranteed, and what it may take when the pool has spare. */
import { Type } from 'typebox';
import type { Static } from 'typebox';

const closed = { additionalProperties: false } as const;

export const Resources = Type.Object(
  {
    /** CPU guarantee, thousandths of a core. */
    cpuMillis: Type.Integer({ minimum: 1, maximum: 10_000_000 }),
    /** The most CPU it may take; null is the whole host. */
    cpuCeilingMillis: Type.Union([Type.Integer({ minimum: 10, maximum: 10_000_000 }), Type.Null()]),
    /** Memory guarantee, MiB. */
    memoryMib: Type.Integer({ minimum: 4, maximum: 1024 * 1024 * 1024 }),
    /** The most memory it may take; null is the whole pool. */
    memoryCeilingMib: Type.Union([Type.Integer({ minimum: 4, maximum: 1024 * 1024 * 1024 }), Type.Null()]),
    /** Disk quota, MiB: all the machine and its snapshots hold. */
    diskMib: Type.Integer({ minimum: 16, maximum: 1024 * 1024 * 1024 }),
    /** Processes and threads at once. */
    processes: Type.Integer({ minimum: 4, maximum: 4_000_000 }),
  },
  closed,
);
export type Resources = Static<typeof Resources>;

/** A named set of resources. */
export const Package = Type.Object({ name: Type.String(), resources: Resources, createdAt: Type.String() }, closed);
export type Package = Static<typeof Package>;

/** Small guarantees, so that a small host holds many machines: without a ceiling each may take what is idle. */
export const defaultResources: Resources = {
  cpuMillis: 20,
  cpuCeilingMillis: null,
  memoryMib: 64,
  memoryCeilingMib: null,
  diskMib: 1024,
  processes: 1024,
};
