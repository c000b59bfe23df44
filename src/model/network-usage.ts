/** A network as it is on a host. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { DroppedPackets } from './machine.ts';

/** Machines on it that run, and packets that were dropped since it has been there. */
export const NetworkUsage = Type.Object({ machines: Type.Integer(), dropped: DroppedPackets }, { additionalProperties: false });
export type NetworkUsage = Static<typeof NetworkUsage>;
