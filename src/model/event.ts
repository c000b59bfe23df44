/** Events: what happened, in order, with the actor. The agent numbers its own; the control plane its own. */
import { Type } from 'typebox';
import type { Static } from 'typebox';

const closed = { additionalProperties: false } as const;

export const Event = Type.Object(
  {
    sequence: Type.Integer(),
    at: Type.String(),
    /** `machine.started`, `machine.exited`, `machine.deleted`, `snapshot.created`, `image.created`, those of `EventDetails`… */
    type: Type.String(),
    /** The machine, image or platform it is about. */
    subject: Type.String(),
    message: Type.String(),
    detail: Type.Record(Type.String(), Type.Unknown()),
  },
  closed,
);
export type Event = Static<typeof Event>;

const mib = Type.Number({ minimum: 0 });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

/** A machine's memory at one moment. */
const memoryOfMachine = {
  usedMib: mib,
  guaranteeMib: mib,
  /** What it used above its guarantee. */
  borrowedMib: mib,
  /** Null: none but the pool's. */
  ceilingMib: nullable(mib),
};
/** The host's memory at the same moment. */
const memoryOfHost = {
  hostAvailableMib: mib,
  /** What the governor keeps available; below it, borrowed memory is taken back. */
  hostReserveMib: mib,
};

/** `governor.reclaimed`: borrowed memory was taken back. */
export const GovernorReclaimed = Type.Object(
  {
    ...memoryOfMachine,
    ...memoryOfHost,
    reclaimedMib: mib,
    milliseconds: Type.Number(),
    /** The machine that claimed its guarantee; null: the host as a whole had run low. */
    claimant: nullable(Type.String()),
  },
  closed,
);
export type GovernorReclaimed = Static<typeof GovernorReclaimed>;

/** `governor.throttled`: a machine was made slower; `until` says what ends it. */
export const GovernorThrottled = Type.Union([
  /** Its bank of metered bursting is empty, and its ceiling came down to its baseline. */
  Type.Object(
    {
      resource: Type.Literal('cpu'),
      usedMillis: Type.Number(),
      fromMillis: Type.Number(),
      toMillis: Type.Number(),
      guaranteeMillis: Type.Number(),
      bankSeconds: Type.Number(),
      until: Type.String(),
    },
    closed,
  ),
  /** It grew faster than memory could be taken back from it. */
  Type.Object({ resource: Type.Literal('memory'), ...memoryOfMachine, ...memoryOfHost, limitMib: mib, until: Type.String() }, closed),
]);
export type GovernorThrottled = Static<typeof GovernorThrottled>;

/** `governor.killed`: nothing could be taken back any more, so a process inside the borrower was killed. */
export const GovernorKilled = Type.Object(
  {
    ...memoryOfMachine,
    ...memoryOfHost,
    /** What had been taken back from it before. */
    reclaimedMib: mib,
    swapFreeMib: mib,
    /** In percent of the last ten seconds: something in it waited for memory (`memory.pressure`, some avg10); null where the kernel does not tell. */
    pressure: nullable(Type.Number()),
    claimant: nullable(Type.String()),
    killed: Type.Array(Type.Object({ pid: Type.Integer(), command: Type.String(), memoryMib: mib }, closed)),
  },
  closed,
);
export type GovernorKilled = Static<typeof GovernorKilled>;

/** `machine.oom`: the kernel killed inside a machine that had reached its limit. */
export const MachineOutOfMemory = Type.Object(
  {
    ...memoryOfMachine,
    /** What it had reached: its ceiling, or less where the host had no more to give. */
    limitMib: mib,
    kills: Type.Integer({ minimum: 1 }),
  },
  closed,
);
export type MachineOutOfMemory = Static<typeof MachineOutOfMemory>;

/** One health check, as it ended. */
export const HealthCheck = Type.Object(
  {
    /** Null: it could not be run, or took too long. */
    code: nullable(Type.Integer()),
    /** In words: `exited with code 1`, `took longer than 30 s`. */
    reason: Type.String(),
    /** How what it wrote begins, in one line. */
    output: Type.String({ maxLength: 400 }),
  },
  closed,
);
export type HealthCheck = Static<typeof HealthCheck>;

/** `machine.health`: it has become healthy, or unhealthy, with the check that made it so. */
export const MachineHealth = Type.Object({ health: Type.Enum(['none', 'starting', 'healthy', 'unhealthy']), check: HealthCheck }, closed);
export type MachineHealth = Static<typeof MachineHealth>;

/**
 * `machine.refused`: for want of room it was not resized, or not made; then `subject` is the name that it was to have. Not what the host refused
 * when a resize was under way: that is the end of its job.
 */
export const MachineRefused = Type.Object(
  {
    action: Type.Enum(['create', 'resize']),
    /** Of the pool, or of what the account may have. */
    code: Type.Enum(['not_enough', 'over_quota']),
    /** What was asked for and what was left. */
    reason: Type.String(),
  },
  closed,
);
export type MachineRefused = Static<typeof MachineRefused>;

export const eventDetails = {
  'governor.reclaimed': GovernorReclaimed,
  'governor.throttled': GovernorThrottled,
  'governor.killed': GovernorKilled,
  'machine.oom': MachineOutOfMemory,
  'machine.health': MachineHealth,
  'machine.refused': MachineRefused,
} as const;

/** The details of events that explain a machine's speed or death, by type. */
export interface EventDetails {
  'governor.reclaimed': GovernorReclaimed;
  'governor.throttled': GovernorThrottled;
  'governor.killed': GovernorKilled;
  'machine.oom': MachineOutOfMemory;
  'machine.health': MachineHealth;
  'machine.refused': MachineRefused;
}

export const jobStates = ['queued', 'running', 'succeeded', 'failed'] as const;

/** How who came by a network proved who it is. */
export const JobCaller = Type.Object(
  {
    type: Type.Enum(['signature', 'token']),
    /** As in the request: `/alice/keys/aa:bb:…`; of a token `/alice/tokens/ID`. */
    keyId: Type.String(),
    /** Of the other end of the connection. */
    address: Type.String(),
  },
  closed,
);
export type JobCaller = Static<typeof JobCaller>;

/** Every asynchronous action: who asked, what, and how it ended. */
export const Job = Type.Object(
  {
    id: Type.String(),
    account: Type.String(),
    /** `create`, `start`, `stop`, `reboot`, `resize`, `update`, `delete`, `snapshot.create`, `snapshot.rollback`… */
    action: Type.String(),
    machine: Type.Union([Type.String(), Type.Null()]),
    /** `uid:0 (root)`, or an account and its key. */
    actor: Type.String(),
    caller: nullable(JobCaller),
    state: Type.Enum(jobStates),
    createdAt: Type.String(),
    finishedAt: Type.Union([Type.String(), Type.Null()]),
    /** Why it failed. */
    reason: Type.Union([Type.String(), Type.Null()]),
    /** The action's own answer, such as `{"freezeMs": 3}` or `{"milliseconds": 21}`. */
    result: Type.Record(Type.String(), Type.Unknown()),
  },
  closed,
);
export type Job = Static<typeof Job>;
