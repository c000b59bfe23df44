/** Events: what happened, in order, with the actor. The agent numbers its own; the control plane its own. */
import { Type } from 'typebox';
import type { Static } from 'typebox';

const closed = { additionalProperties: false } as const;

export const Event = Type.Object(
  {
    sequence: Type.Integer(),
    at: Type.String(),
    /** `machine.started`, `machine.exited`, `machine.deleted`, `snapshot.created`, `image.created`… */
    type: Type.String(),
    /** The machine, image or platform it is about. */
    subject: Type.String(),
    message: Type.String(),
    detail: Type.Record(Type.String(), Type.Unknown()),
  },
  closed,
);
export type Event = Static<typeof Event>;

export const jobStates = ['queued', 'running', 'succeeded', 'failed'] as const;

/** Every asynchronous action: who asked, what, and how it ended. */
export const Job = Type.Object(
  {
    id: Type.String(),
    account: Type.String(),
    /** `create`, `start`, `stop`, `reboot`, `resize`, `update`, `delete`, `snapshot.create`, `snapshot.rollback`… */
    action: Type.String(),
    machine: Type.Union([Type.String(), Type.Null()]),
    /** `uid:0 (root)`, later also accounts and keys. */
    actor: Type.String(),
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
