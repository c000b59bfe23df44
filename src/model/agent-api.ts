/**
 * The agent's API: HTTP over its unix socket. Shapes shared by the agent's server and its client.
 *
 *   GET    /v1/info                                 AgentInfo
 *   GET    /v1/machines                             MachineStatus[]
 *   GET    /v1/machines/:id                         MachineStatus
 *   PUT    /v1/machines/:id                         MachineCreate -> MachineStatus (answers when created, and running if asked)
 *   POST   /v1/machines/:id/start|stop|restart      MachineAction -> MachineStatus (answers when done)
 *   POST   /v1/machines/:id/update                  MachineUpdate -> MachineStatus
 *   PUT    /v1/machines/:id/code?request=JSON        MachineUpdate, body tar -> MachineStatus
 *   POST   /v1/machines/:id/rename                  MachineRename -> MachineStatus
 *   DELETE /v1/machines/:id                         Generation -> 204 (also for one that is gone already)
 *   POST   /v1/resizes                              MachineResize[] -> application/x-ndjson stream of ResizeOutcome, each when it is done
 *   GET    /v1/machines/:id/usage                   MachineUsage
 *   GET    /v1/machines/:id/processes               MachineProcess[]
 *   GET    /v1/machines/:id/logs?follow=&tail=      application/x-ndjson stream of LogLine
 *   GET    /v1/machines/:id/files?path=             application/x-tar stream
 *   PUT    /v1/machines/:id/files?path=             application/x-tar body, unpacked at path -> 204
 *   GET    /v1/machines/:id/exec                    WebSocket, see ExecStart
 *   GET    /v1/machines/:id/snapshots               Snapshot[]
 *   GET    /v1/machines/:id/snapshot-names          string[]: which there are, without measuring them
 *   POST   /v1/machines/:id/snapshots               SnapshotCreate -> Snapshot
 *   DELETE /v1/machines/:id/snapshots/:name         204
 *   POST   /v1/machines/:id/snapshots/:name/rollback  Generation -> MachineStatus
 *   GET    /v1/images, /v1/platforms                Image[], Platform[]
 *   POST   /v1/images?request=JSON(ImageCreate)     application/x-tar body (none with fromMachine or fromImage) -> Image
 *   DELETE /v1/images/:id                           204
 *   POST   /v1/platforms                            PlatformBuild -> application/x-ndjson stream of Progress, last has `platform` or `error`
 *   DELETE /v1/platforms/:name/:version             204
 *   GET    /v1/firewall                             AppliedFirewall
 *   POST   /v1/firewall                             FirewallChange -> {revision}
 *   GET    /v1/networks, /v1/floating-addresses     NetworkDefinition[], FloatingState[] (model/network.ts)
 *   PUT    /v1/networks/:id, /v1/floating-addresses/:address  one of them -> 204
 *   GET    /v1/names                                HostNames (model/names-api.ts)
 *   PUT    /v1/names                                NamesTold -> 204
 *   GET    /v1/events?after=N                       application/x-ndjson stream of Event
 *
 * Errors: ErrorBody with the status of its code. Every mutating request carries the machine's generation; one lower
 * than the agent has seen is refused with `stale_generation`, an equal one repeats the same request and gets its outcome.
 */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { ErrorBody } from '../base/errors.ts';
import { DesiredState, MachineName, MachineSpec } from './machine.ts';
import type { MachineStatus } from './machine.ts';
import type { Platform, PlatformRef } from './image.ts';
import { ImageConfig } from './image.ts';
import { MetadataChange } from './metadata.ts';
import { resourceNamePattern, snapshotNamePattern } from './names.ts';
import { PoolSize, Resources, Unsupported } from './resources.ts';
import { WireStatus } from './network.ts';
import { UplinkStatus } from './uplink.ts';

const closed = { additionalProperties: false } as const;
const generation = Type.Integer({ minimum: 1 });

export const Generation = Type.Object({ generation }, closed);

export const MachineCreate = Type.Object(
  {
    generation,
    spec: MachineSpec,
    desired: DesiredState,
    /** Start from a snapshot's data instead of an empty volume. */
    fromSnapshot: Type.Optional(Type.Object({ machine: Type.String({ format: 'uuid' }), name: Type.String({ pattern: snapshotNamePattern }) }, closed)),
    /** Its data is here already, from before the journal was lost: taken as it is, and refused where there is none. */
    adopt: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type MachineCreate = Static<typeof MachineCreate>;

export const MachineAction = Type.Object({ generation, graceSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 })) }, closed);
export type MachineAction = Static<typeof MachineAction>;

export const MachineResize = Type.Object({ id: Type.String({ format: 'uuid' }), generation, resources: Resources }, closed);
export type MachineResize = Static<typeof MachineResize>;

export const mostResizes = 256;
/** Changes of machines that have nothing to do with each other but that they were asked for in one moment. */
export const MachineResizes = Type.Array(MachineResize, { minItems: 1, maxItems: mostResizes });
export type MachineResizes = Static<typeof MachineResizes>;

/** Of the one that was asked for as the `index`th, from 0. */
export type ResizeOutcome = { index: number; status: MachineStatus } | { index: number; error: ErrorBody };

/**
 * The whole new specification; the agent finds what differs, and restores the old one when the new does not come up healthy. Of metadata, which the
 * machine itself changes too, only the change is taken.
 */
export const MachineUpdate = Type.Object({ generation, spec: MachineSpec, metadata: Type.Optional(MetadataChange) }, closed);
export type MachineUpdate = Static<typeof MachineUpdate>;

export const MachineRename = Type.Object({ generation, name: MachineName }, closed);
export type MachineRename = Static<typeof MachineRename>;

export const SnapshotCreate = Type.Object({ name: Type.String({ pattern: snapshotNamePattern }) }, closed);
export type SnapshotCreate = Static<typeof SnapshotCreate>;

export const ImageCreate = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    name: Type.String({ pattern: resourceNamePattern }),
    kind: Type.Union([Type.Literal('app'), Type.Literal('system')]),
    config: ImageConfig,
    /** Take the content from this machine's root instead of the body. */
    fromMachine: Type.Optional(Type.String({ format: 'uuid' })),
    /** Or all that this image has. */
    fromImage: Type.Optional(Type.String({ format: 'uuid' })),
  },
  closed,
);
export type ImageCreate = Static<typeof ImageCreate>;

export const PlatformBuild = Type.Object(
  {
    name: Type.String({ pattern: resourceNamePattern }),
    include: Type.Array(Type.String({ pattern: '^[a-z0-9][a-z0-9+.-]{1,127}$' }), { maxItems: 512 }),
  },
  closed,
);
export type PlatformBuild = Static<typeof PlatformBuild>;

export interface Progress {
  /** What is being done, for a person. */
  message: string;
  platform?: Static<typeof Platform>;
  error?: { code: string; message: string };
}

export const StorageFeatures = Type.Object(
  {
    driver: Type.Union([Type.Literal('btrfs'), Type.Literal('directory'), Type.Literal('fake')]),
    quota: Type.Union([Type.Literal('squota'), Type.Literal('qgroup'), Type.Literal('none')]),
    snapshots: Type.Boolean(),
    /** What this driver cannot do, in words. */
    lacks: Type.Array(Type.String()),
  },
  closed,
);
export type StorageFeatures = Static<typeof StorageFeatures>;

export const AgentInfo = Type.Object(
  {
    version: Type.String(),
    instance: Type.String(),
    startedAt: Type.String(),
    host: Type.Object({ name: Type.String(), kernel: Type.String(), cpus: Type.Integer(), memoryMib: Type.Number(), cgroup: Type.String() }, closed),
    /** What the machines of this instance may be guaranteed in all. */
    pool: Type.Object({ ...PoolSize.properties, diskUsedMib: Type.Number() }, closed),
    /** What its machines may use together: its share of the host, but for the moments after `cenote up` has changed that. */
    held: Type.Object({ cpuMillis: Type.Integer(), memoryMib: Type.Integer() }, closed),
    guaranteed: Type.Object({ cpuMillis: Type.Integer(), memoryMib: Type.Integer(), diskMib: Type.Integer(), networkMbps: Type.Integer() }, closed),
    /** Resources that this host cannot honour: asked for, they are refused. */
    unsupported: Type.Array(Unsupported),
    storage: StorageFeatures,
    /** `uplinks`: where network guarantees hold, or should. `wires`: on which public networks have addresses in use. */
    network: Type.Object({ subnet: Type.String(), gateway: Type.String(), uplinks: Type.Array(UplinkStatus), wires: Type.Array(WireStatus) }, closed),
    machines: Type.Object({ total: Type.Integer(), running: Type.Integer() }, closed),
  },
  closed,
);
export type AgentInfo = Static<typeof AgentInfo>;

/** One line of a machine's output. */
export interface LogLine {
  at: string;
  stream: 'stdout' | 'stderr';
  text: string;
}

/**
 * The exec WebSocket. The client's first message is text: an ExecStart as JSON. Then binary messages, first byte the
 * channel. To the agent: 0 stdin bytes, 1 end of stdin, 2 JSON ExecResize. From the agent: 3 stdout, 4 stderr,
 * 5 JSON ExecExit as the last one. A client that closes the socket ends the process.
 */
export const ExecStart = Type.Object(
  {
    command: Type.Array(Type.String({ pattern: '^[^\\u0000]*$', maxLength: 131_072 }), { minItems: 1, maxItems: 1024 }),
    tty: Type.Boolean(),
    stdin: Type.Boolean(),
    env: Type.Optional(Type.Record(Type.String(), Type.String())),
    user: Type.Optional(Type.String()),
    workingDirectory: Type.Optional(Type.String()),
    columns: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
    rows: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  },
  closed,
);
export type ExecStart = Static<typeof ExecStart>;
export const execChannel = { stdin: 0, stdinEnd: 1, resize: 2, stdout: 3, stderr: 4, exit: 5 } as const;
export interface ExecResize {
  columns: number;
  rows: number;
}
export interface ExecExit {
  code: number;
  error?: string;
}

export const platformKey = (ref: Static<typeof PlatformRef>): string => `${ref.name}@${ref.version}`;
