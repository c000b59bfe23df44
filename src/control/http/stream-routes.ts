/** Logs and files, streamed through from the agent; nothing is held in memory here. */
import { Accepted, UpdateMachine } from '../../model/control-api.ts';
import { machineUpdate } from '../app/machine-change.ts';
import { machineMade } from '../app/made.ts';
import { authorize } from '../../store/context.ts';
import type { Control } from '../control.ts';
import { invalid } from '../../base/errors.ts';
import { requestInQuery } from '../../base/request-in-query.ts';
import { idParams, onceEnded } from './accepted.ts';
import { booleanOf, integerOf, pathOf } from './query.ts';
import type { App } from './server.ts';
import { passThrough } from './through.ts';

const mostLines = 1_000_000;

export const streamRoutes = (app: App, control: Control): void => {
  const { store } = control;
  app.get('/v1/machines/:id/logs', { config: { query: ['follow', 'tail'] }, schema: { params: idParams } }, async (request, reply) => {
    const query = request.query as URLSearchParams;
    const passed = { follow: booleanOf(query, 'follow'), tail: integerOf(query, 'tail', { minimum: 0, maximum: mostLines }) };
    const { machine } = await machineMade(request.caller, store.db, request.params.id);
    await passThrough(control, request, reply, { method: 'GET', path: `/v1/machines/${machine.id}/logs`, query: passed });
  });

  app.get('/v1/machines/:id/files', { config: { query: ['path'] }, schema: { params: idParams } }, async (request, reply) => {
    const path = pathOf(request.query as URLSearchParams, 'path');
    const { machine } = await machineMade(request.caller, store.db, request.params.id);
    await passThrough(control, request, reply, { method: 'GET', path: `/v1/machines/${machine.id}/files`, query: { path } });
  });

  // Only a WebSocket's Upgrade gets to exec (see exec.ts); a plain request ends here.
  app.get('/v1/machines/:id/exec', { schema: { params: idParams } }, async (request) => {
    await machineMade(request.caller, store.db, request.params.id);
    throw invalid('upgrade', 'exec is a WebSocket: send an Upgrade request');
  });

  void app.register(async (uploads) => {
    acceptStreams(uploads as unknown as App);
    (uploads as unknown as App).put('/v1/machines/:id/files', { config: { query: ['path'] }, schema: { params: idParams } }, async (request, reply) => {
      authorize(request.caller, 'write');
      const path = pathOf(request.query as URLSearchParams, 'path');
      const { machine } = await machineMade(request.caller, store.db, request.params.id);
      await passThrough(control, request, reply, { method: 'PUT', path: `/v1/machines/${machine.id}/files`, query: { path }, upload: true });
    });
    (uploads as unknown as App).put(
      '/v1/machines/:id/code',
      { config: { query: ['request'] }, schema: { params: idParams, response: { 202: Accepted } } },
      async (request, reply) => {
        authorize(request.caller, 'write');
        const asked = requestInQuery(UpdateMachine, (request.query as URLSearchParams).get('request'));
        using code = control.uploads.offer(request.raw);
        const answer = await machineUpdate(control, request.caller, request.params.id, asked, code.name);
        return await onceEnded(control, request, reply, answer);
      },
    );
  });
};

/** Bodies are left unread, whatever they are, for the handler to pipe on. */
export const acceptStreams = (app: App): void => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
};
