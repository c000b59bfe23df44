/** The control plane itself, the pool, jobs, events. */
import { abortOnClose } from '../../base/abort-on-close.ts';
import { jsonLinesType } from '../../base/json-lines.ts';
import { ControlInfo } from '../../model/control-api.ts';
import { Job } from '../../model/event.ts';
import { PoolStatus } from '../../model/pool.ts';
import { authorize } from '../../store/context.ts';
import { jobGet } from '../../store/job.ts';
import { eventsTold } from '../app/event-told.ts';
import type { Control } from '../control.ts';
import { idParams, waiting, waitMs } from './accepted.ts';
import { booleanOf, integerOf } from './query.ts';
import type { App } from './server.ts';
import { linesOf, sendStream } from './through.ts';

/** What the control plane can say of itself does not wait long for what the agent says. */
const infoMs = 3000;
const poolMs = 30_000;

export const otherRoutes = (app: App, control: Control): void => {
  const { store, agent, link, events, version, startedAt } = control;

  app.get('/v1/info', { schema: { response: { 200: ControlInfo } } }, async (request) => {
    authorize(request.caller, 'read');
    const operator = request.caller.role !== 'account';
    const { url: cloudapi, fingerprint } = control.cloudapi() ?? { url: null, fingerprint: null };
    const all = { version, startedAt, caller: request.caller.actor, operator, cloudapi, fingerprint };
    if (!operator) return { ...all, store: null, agent: null };
    // An agent that answers but is not followed yet takes no work: it counts as away.
    const info = link.inStep ? await agent.info({ signal: AbortSignal.timeout(infoMs) }).catch(() => null) : null;
    return { ...all, store: store.shown, agent: info };
  });

  app.get('/v1/pool', { schema: { response: { 200: PoolStatus } } }, (request) => {
    authorize(request.caller, 'operate');
    return agent.pool({ signal: AbortSignal.timeout(poolMs) });
  });

  app.get('/v1/jobs/:id', { ...waiting, schema: { params: idParams, response: { 200: Job } } }, async (request, reply) => {
    const job = await jobGet(request.caller, store.db, request.params.id);
    const milliseconds = waitMs(request);
    if (job.finishedAt !== null || milliseconds === 0) return job;
    const finished = await control.jobs.waitFor(job.id, milliseconds, abortOnClose(reply.raw));
    return finished?.job ?? jobGet(request.caller, store.db, job.id);
  });

  app.get('/v1/events', { config: { query: ['after', 'subject', 'follow'] } }, async (request, reply) => {
    authorize(request.caller, 'read');
    const query = request.query as URLSearchParams;
    const after = integerOf(query, 'after', { minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
    const subject = query.get('subject') ?? undefined;
    const pages = events.read(request.caller, { after, subject, follow: booleanOf(query, 'follow') }, abortOnClose(reply.raw));
    await sendStream(reply, linesOf(eventsTold(control, request.caller, pages)), 200, { 'content-type': jsonLinesType });
  });
};
