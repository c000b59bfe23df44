/** What leads outside: how much of it may be guaranteed, and how a host says whether guarantees hold there. */
import { Type } from 'typebox';
import type { Static } from 'typebox';

/** Never promised to machines: half of it is for the host's own traffic and other instances', half for whoever borrows. */
const reservePart = 0.05;
export const reserveMbps = (capacityMbps: number): number => Math.max(1, Math.ceil(capacityMbps * reservePart));

export const promisableMbps = (capacityMbps: number): number => Math.max(0, capacityMbps - reserveMbps(capacityMbps));

export const UplinkStatus = Type.Object(
  {
    device: Type.String(),
    capacityMbps: Type.Integer(),
    /** Why guarantees do not hold there now; null: they do. */
    lacks: Type.Union([Type.String(), Type.Null()]),
  },
  { additionalProperties: false },
);
export type UplinkStatus = Static<typeof UplinkStatus>;
