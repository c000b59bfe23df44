/** Names in the DNS, as both APIs tell of them. */
import { Type } from 'typebox';
import type { Static } from 'typebox';

const closed = { additionalProperties: false } as const;
const label = Type.String({ pattern: '^[a-z0-9-]{1,63}$' });

/** Told to a host: whose machines have names, and how accounts stand in them. */
export const NamesTold = Type.Object(
  {
    accounts: Type.Array(
      Type.Object({ id: Type.String({ maxLength: 64 }), uuid: Type.String({ format: 'uuid' }), label: Type.Union([label, Type.Null()]) }, closed),
      { maxItems: 20_000 },
    ),
  },
  closed,
);
export type NamesTold = Static<typeof NamesTold>;

const count = Type.Integer({ minimum: 0 });
/**
 * A host's resolver: the port where machines are answered, and what it did since its start. `own`: answered by itself; `forwarded`: of them,
 * `failed` had no answer; `dropped`: too many at once; `malformed`: no questions; `strangers`: by who may not ask.
 */
export const ResolverStatus = Type.Object(
  { port: Type.Integer(), own: count, forwarded: count, failed: count, dropped: count, malformed: count, strangers: count },
  closed,
);
export type ResolverStatus = Static<typeof ResolverStatus>;

/** `resolver` is null while it is away. */
export const HostNames = Type.Object({ ...NamesTold.properties, resolver: Type.Union([ResolverStatus, Type.Null()]) }, closed);
export type HostNames = Static<typeof HostNames>;

export const NameRecord = Type.Object(
  {
    name: Type.String(),
    ttl: Type.Integer(),
    type: Type.String(),
    /** As in a zone file. */
    value: Type.String(),
    /** Id of the machine. */
    machine: Type.String(),
  },
  closed,
);
export type NameRecord = Static<typeof NameRecord>;

export const DnsStatus = Type.Object(
  {
    zone: Type.String(),
    /** Where names are served to others; null: nowhere. */
    address: Type.Union([Type.String(), Type.Null()]),
    port: Type.Union([Type.Integer(), Type.Null()]),
    /** False too where the port could not be had. */
    serving: Type.Boolean(),
    zones: Type.Array(Type.Object({ name: Type.String(), serial: Type.Integer(), names: Type.Integer() }, closed)),
    /** `heard`: the version of the zone that a secondary has said to have heard of. */
    secondaries: Type.Array(Type.Object({ address: Type.String(), port: Type.Integer(), heard: Type.Union([Type.Integer(), Type.Null()]) }, closed)),
    /** Since the control plane started. */
    counters: Type.Union([
      Type.Object({ answered: Type.Integer(), refused: Type.Integer(), malformed: Type.Integer(), limited: Type.Integer(), transfers: Type.Integer() }, closed),
      Type.Null(),
    ]),
    /** What machines ask; null while the host or its resolver is away. */
    resolver: Type.Union([ResolverStatus, Type.Null()]),
  },
  closed,
);
export type DnsStatus = Static<typeof DnsStatus>;
