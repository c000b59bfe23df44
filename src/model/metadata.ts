/**
 * What a machine is told from outside, and may tell itself: named texts, changed while it runs. The words and rules are those of SmartOS
 * (its metadata protocol and vmadm), so that programs made for it find what they expect.
 */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { invalid } from '../base/errors.ts';
import { Metadata } from './machine.ts';

const closed = { additionalProperties: false } as const;

/** Changes of a set of named values are merged with what there is when their turn comes. */
export type NamedChange<Values> = { mode: 'merge' | 'replace'; values: Values } | { mode: 'remove'; names: string[] };

export const MetadataChange = Type.Union([
  Type.Object({ mode: Type.Union([Type.Literal('merge'), Type.Literal('replace')]), values: Metadata }, closed),
  Type.Object({ mode: Type.Literal('remove'), names: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 10_000 }) }, closed),
]);
export type MetadataChange = Static<typeof MetadataChange>;

export const mergeNamed = <Values extends Record<string, unknown>>(current: Values, change: NamedChange<Values>): Values => {
  if (change.mode === 'remove') return Object.fromEntries(Object.entries(current).filter(([name]) => !change.names.includes(name))) as Values;
  return change.mode === 'replace' ? change.values : { ...current, ...change.values };
};

/** All names and values of a machine together: they travel with its specification and are kept in memory. */
export const metadataLimitBytes = 1024 * 1024;

export const checkMetadataSize = (metadata: Metadata): Metadata => {
  const bytes = Object.entries(metadata).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
  if (bytes > metadataLimitBytes) throw invalid('metadata', `${bytes} bytes in all, and a machine may have ${metadataLimitBytes}`);
  return metadata;
};

/** What the host itself says of the machine; nobody sets it but an operator. */
export const hostNamespace = 'sdc:';
/** A script that is run inside, as root, at every start. */
export const userScript = 'user-script';
/** Passwords: read by name, neither listed inside nor written from there. */
export const isInternal = (name: string): boolean => name.endsWith('_pw');
