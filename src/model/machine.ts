/** The machine: what is asked for (MachineSpec, control to agent) and what is true of it (MachineStatus, agent to control). */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { HealthCheck } from './event.ts';
import { ImageConfig, PlatformRef } from './image.ts';
import { environmentNamePattern, machineNamePattern, metadataNamePattern, tagNamePattern } from './names.ts';
import { IpAddress, Nics } from './network.ts';
import { Resources } from './resources.ts';

const closed = { additionalProperties: false } as const;
const port = Type.Integer({ minimum: 1, maximum: 65535 });
const noNul = (maxLength: number) => Type.String({ maxLength, pattern: '^[^\\u0000]*$' });

export const PublishedPort = Type.Object({ hostPort: port, machinePort: port, protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]) }, closed);
export type PublishedPort = Static<typeof PublishedPort>;

export const RestartPolicy = Type.Object(
  {
    /** `always`: whenever it ends by itself. `on-failure`: when it ends with another code than 0. `never`. */
    policy: Type.Union([Type.Literal('always'), Type.Literal('on-failure'), Type.Literal('never')]),
    /** Failures in a row before it is left `failed`; null is no end. */
    maxRetries: Type.Union([Type.Integer({ minimum: 0, maximum: 1_000_000 }), Type.Null()]),
  },
  closed,
);
export type RestartPolicy = Static<typeof RestartPolicy>;

export const Environment = Type.Record(Type.String({ pattern: environmentNamePattern }), noNul(131_072), closed);
/** A value keeps its kind; where a tag is compared, it is its text that counts. */
export const TagValue = Type.Union([noNul(1024), Type.Number(), Type.Boolean()]);
export type TagValue = Static<typeof TagValue>;
export const Tags = Type.Record(Type.String({ pattern: tagNamePattern }), TagValue, closed);
export type Tags = Static<typeof Tags>;
/** Handed to the machine from outside, and seen inside. */
export const Metadata = Type.Record(Type.String({ pattern: metadataNamePattern }), noNul(1024 * 1024), closed);
export type Metadata = Static<typeof Metadata>;
export const Command = Type.Array(noNul(131_072), { minItems: 1, maxItems: 1024 });
export const MachineName = Type.String({ pattern: machineNamePattern });

export const MachineSpec = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    account: Type.String({ maxLength: 64 }),
    name: MachineName,
    image: Type.Object({ id: Type.String({ format: 'uuid' }), name: Type.String() }, closed),
    /** Null for an image with a userland of its own. */
    platform: Type.Union([PlatformRef, Type.Null()]),
    /** The image's configuration as it was when the machine was made; image deletion or change never alters a machine. */
    config: ImageConfig,
    /** Replaces the image's Entrypoint and Cmd. */
    command: Type.Union([Command, Type.Null()]),
    env: Environment,
    resources: Resources,
    /** Of its primary NIC. */
    address: IpAddress,
    /** Absent: one, on the external network. */
    nics: Type.Optional(Nics),
    publish: Type.Array(PublishedPort, { maxItems: 256 }),
    restart: RestartPolicy,
    tags: Tags,
    /** Absent: none. */
    metadata: Type.Optional(Metadata),
    /** Whether the account's firewall rules hold for it; absent: they do not. */
    firewallEnabled: Type.Optional(Type.Boolean()),
    /** It is not deleted while this is set. */
    deletionProtection: Type.Optional(Type.Boolean()),
    /** Seconds between the stop signal and the kill. */
    stopGraceSeconds: Type.Integer({ minimum: 0, maximum: 3600 }),
  },
  closed,
);
export type MachineSpec = Static<typeof MachineSpec>;

/** `provisioning` and `deleting` pass by; `failed` is at rest, with `error` saying why. */
export const machineStates = ['provisioning', 'running', 'stopping', 'stopped', 'failed', 'deleting'] as const;
export const MachineState = Type.Enum(machineStates);
export type MachineState = (typeof machineStates)[number];

export const DesiredState = Type.Union([Type.Literal('running'), Type.Literal('stopped')]);
export type DesiredState = Static<typeof DesiredState>;

/** How the machine's first process last ended. */
export const MachineExit = Type.Object(
  {
    /** 128 + signal when a signal ended it. */
    code: Type.Integer(),
    signal: Type.Union([Type.String(), Type.Null()]),
    outOfMemory: Type.Boolean(),
    at: Type.String(),
    /** In words: `exited with code 3`, `killed by SIGKILL: out of memory at 256M`. */
    reason: Type.String(),
  },
  closed,
);
export type MachineExit = Static<typeof MachineExit>;

export const Health = Type.Union([Type.Literal('none'), Type.Literal('starting'), Type.Literal('healthy'), Type.Literal('unhealthy')]);

export const MachineStatus = Type.Object(
  {
    id: Type.String(),
    spec: MachineSpec,
    /** Highest generation the agent has accepted for this machine. */
    generation: Type.Integer({ minimum: 0 }),
    /** The agent's last event when this was said: what that one and those before it tell of the machine is in here. */
    sequence: Type.Integer({ minimum: 0 }),
    desired: DesiredState,
    state: MachineState,
    /** First process, as the host numbers it. */
    pid: Type.Union([Type.Integer(), Type.Null()]),
    createdAt: Type.String(),
    startedAt: Type.Union([Type.String(), Type.Null()]),
    exit: Type.Union([MachineExit, Type.Null()]),
    /** Why it is `failed`, or why the last start did not succeed. */
    error: Type.Union([Type.String(), Type.Null()]),
    /** Restarts by policy since the last requested start. */
    restarts: Type.Integer(),
    /** When it is started again by policy; absent: no such start is set. */
    restartAt: Type.Optional(Type.String()),
    health: Health,
    /** The check that made it unhealthy; absent: it is not. */
    healthCheck: Type.Optional(HealthCheck),
    /** Files that the machine changed in its /etc and the last update of its platform or image changed too; it keeps its own. Absent: none. */
    etcConflicts: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);
export type MachineStatus = Static<typeof MachineStatus>;

export const Snapshot = Type.Object(
  {
    name: Type.String(),
    createdAt: Type.String(),
    /** Data only this snapshot holds. */
    sizeMib: Type.Number(),
    /** How long the machine stood still for it. */
    freezeMs: Type.Number(),
  },
  closed,
);
export type Snapshot = Static<typeof Snapshot>;

/** Of metered bursting. */
export const BurstUsage = Type.Object(
  {
    /** How long it may go on at its ceiling. */
    bankSeconds: Type.Number(),
    /** Its ceiling, or its baseline while the bank is empty. */
    effectiveCeilingMillis: Type.Integer(),
    /** How long it used more, and less, than its baseline since it has a bank. */
    aboveBaseSeconds: Type.Number(),
    belowBaseSeconds: Type.Number(),
  },
  closed,
);
export type BurstUsage = Static<typeof BurstUsage>;

/** How much of the last ten seconds, in percent, something in it waited for CPU, memory or disk that others had; null where the kernel has no PSI. */
export const Pressure = Type.Object({ cpu: Type.Number(), memory: Type.Number(), io: Type.Number() }, closed);
export type Pressure = Static<typeof Pressure>;

/** Packets, by why they were dropped; those for which none were are absent. */
export const DroppedPackets = Type.Object(
  {
    /** It sent them in another's name. */
    spoofed: Type.Optional(Type.Integer()),
    /** It sent them where it may not: to the host, to nobody, or more questions for names than are answered. */
    refused: Type.Optional(Type.Integer()),
    /** Strangers sent them to it. */
    strangers: Type.Optional(Type.Integer()),
    malformed: Type.Optional(Type.Integer()),
    /** They would have begun more flows than there is room for. */
    crowded: Type.Optional(Type.Integer()),
    /** By its firewall, in the last day. */
    blocked: Type.Optional(Type.Integer()),
  },
  closed,
);
export type DroppedPackets = Static<typeof DroppedPackets>;

export const MachineUsage = Type.Object(
  {
    id: Type.String(),
    cpuSeconds: Type.Number(),
    throttledSeconds: Type.Number(),
    memoryMib: Type.Number(),
    /** Without page cache that can be dropped at once. */
    workingSetMib: Type.Number(),
    /** Of its memory, in swap; `memoryMib` is without it. */
    swapMib: Type.Number(),
    diskMib: Type.Number(),
    processes: Type.Integer(),
    /** How often one was refused since it was started, because it had as many as it may have. */
    refusedProcesses: Type.Integer(),
    receivedBytes: Type.Number(),
    sentBytes: Type.Number(),
    /** Since it was started. Absent: none. */
    dropped: Type.Optional(DroppedPackets),
    outOfMemoryKills: Type.Integer(),
    /** What holds its memory now: its ceiling or the pool, or less while borrowed memory is taken back. */
    memoryLimitMib: Type.Number(),
    /** From and to the pool's disk; 0 where that cannot be told. */
    readBytes: Type.Number(),
    writtenBytes: Type.Number(),
    pressure: Type.Union([Pressure, Type.Null()]),
    /** Absent: it has no bank, or does not run. */
    burst: Type.Optional(BurstUsage),
  },
  closed,
);
export type MachineUsage = Static<typeof MachineUsage>;

export const MachineProcess = Type.Object(
  { pid: Type.Integer(), user: Type.String(), command: Type.String(), memoryMib: Type.Number(), cpuSeconds: Type.Number() },
  closed,
);
export type MachineProcess = Static<typeof MachineProcess>;
