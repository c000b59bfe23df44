/** What is known, where a network's router has its uplink, of the machines behind it. */
import { isShared } from '../../model/network.ts';
import type { NetworkDefinition } from '../../model/network.ts';
import { floatingFurther } from './attachment.ts';
import type { Attachment, Further } from './attachment.ts';

/** What its uplink has to know of a machine. */
export type Beside = Pick<Attachment, 'machine' | 'address' | 'further' | 'floating'>;

/** What the external network has to know of these machines: where the router's own address stands for them, no more than floating ones. */
export const further = (definition: NetworkDefinition, machines: Iterable<Beside>): Further[] =>
  Array.from(machines, ({ machine, address, further: others = [], floating = [] }) => [
    ...shownOf(definition, [{ machine, address }, ...others]),
    ...floating.map((one) => floatingFurther(machine, one)),
  ]).flat();

export const shownOf = (definition: NetworkDefinition, addresses: readonly Pick<Further, 'machine' | 'address'>[]): Further[] =>
  isShared(definition) ? addresses.map(({ machine, address }) => ({ machine, address, isShown: definition.isPublic === true, isInside: false })) : [];

/** Subnets whose addresses are nowhere else: others are on the wire. */
export const wholeOf = (definition: NetworkDefinition | undefined): string[] =>
  definition !== undefined && isShared(definition) && definition.device === undefined ? [definition.subnet] : [];
