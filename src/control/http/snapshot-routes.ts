/** Snapshots of a machine: read from the host, changed by jobs. */
import { Type } from 'typebox';
import { SnapshotCreate } from '../../model/agent-api.ts';
import { Accepted } from '../../model/control-api.ts';
import { Snapshot } from '../../model/machine.ts';
import { machineMade } from '../app/made.ts';
import { snapshotCreate, snapshotDelete, snapshotRollback } from '../app/machine-change.ts';
import type { Control } from '../control.ts';
import { accepted, idParams, waiting } from './accepted.ts';
import { emptyBodyAllowed } from './server.ts';
import type { App } from './server.ts';

const snapshotParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 512 }), name: Type.String() });
const nothing = Type.Object({}, { additionalProperties: false });
const response = { 202: Accepted };

export const snapshotRoutes = (app: App, control: Control): void => {
  app.get('/v1/machines/:id/snapshots', { schema: { params: idParams, response: { 200: Type.Array(Snapshot) } } }, async (request) => {
    const { machine } = await machineMade(request.caller, control.store.db, request.params.id);
    return control.agent.snapshotList(machine.id);
  });

  app.post('/v1/machines/:id/snapshots', { ...waiting, schema: { params: idParams, body: SnapshotCreate, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await snapshotCreate(control, request.caller, request.params.id, request.body.name)),
  );

  app.delete('/v1/machines/:id/snapshots/:name', { ...waiting, schema: { params: snapshotParams, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await snapshotDelete(control, request.caller, request.params.id, request.params.name)),
  );

  app.post(
    '/v1/machines/:id/snapshots/:name/rollback',
    { ...waiting, preValidation: emptyBodyAllowed, schema: { params: snapshotParams, body: nothing, response } },
    async (request, reply) => accepted(control, request, reply, 202, await snapshotRollback(control, request.caller, request.params.id, request.params.name)),
  );
};
