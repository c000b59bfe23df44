/** The answer to an asynchronous action: at once, or with `?wait=SECONDS` when its job has ended or the time is over. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { abortOnClose } from '../../base/abort-on-close.ts';
import type { Accepted } from '../../model/control-api.ts';
import { jobGet } from '../../store/job.ts';
import { machineFind } from '../../store/machine.ts';
import type { Control } from '../control.ts';
import { integerOf } from './query.ts';

export const idParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 512 }) });
const longestWaitSeconds = 600;
const longestBodyMs = 24 * 3600_000;

/** Milliseconds to wait, 0 for not at all. */
export const waitMs = (request: FastifyRequest): number =>
  (integerOf(request.query as URLSearchParams, 'wait', { minimum: 0, maximum: longestWaitSeconds }) ?? 0) * 1000;

/** Options of a route that takes `wait`: a wrong number is refused before anything is done. */
export const waiting = {
  config: { query: ['wait'] as const },
  onRequest: (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
    waitMs(request);
    done();
  },
};

export const accepted = async (control: Control, request: FastifyRequest, reply: FastifyReply, status: 201 | 202, answer: Accepted): Promise<never> => {
  const milliseconds = waitMs(request);
  if (milliseconds === 0) return reply.code(status).send(answer) as never;
  return within(control, request, reply.code(status), answer, milliseconds);
};

/** For an action that is still being told what to do: its body may take any time. */
export const onceEnded = (control: Control, request: FastifyRequest, reply: FastifyReply, answer: Accepted): Promise<never> =>
  within(control, request, reply.code(202), answer, longestBodyMs);

const within = async (control: Control, request: FastifyRequest, reply: FastifyReply, answer: Accepted, milliseconds: number): Promise<never> => {
  const { job, machine } = answer;
  const finished = await control.jobs.waitFor(job.id, milliseconds, abortOnClose(reply.raw));
  if (finished !== undefined) return reply.send({ job: finished.job, machine: finished.machine }) as never;
  const { db } = control.store;
  const now = await machineFind(request.caller, db, machine!.id);
  return reply.send({ job: await jobGet(request.caller, db, job.id), machine: now?.machine ?? null }) as never;
};
