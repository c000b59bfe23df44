/** Machines: reading, creating, acting on them. */
import { Type } from 'typebox';
import { MachineProcess, MachineUsage, machineStates } from '../../model/machine.ts';
import type { MachineState } from '../../model/machine.ts';
import { Accepted, ActionOptions, CreateMachine, Machine, RenameMachine, ResizeMachine, UpdateMachine } from '../../model/control-api.ts';
import { MetadataChange } from '../../model/metadata.ts';
import { Job } from '../../model/event.ts';
import { isUuid } from '../../base/ids.ts';
import { jobListByMachine } from '../../store/job.ts';
import { machineFind, machineGet, machineListTexts } from '../../store/machine.ts';
import { machineMade } from '../app/made.ts';
import { machineCreate } from '../app/machine-create.ts';
import {
  machineDelete,
  machineMetadata,
  machineReboot,
  machineRename,
  machineResize,
  machineStart,
  machineStop,
  machineUpdate,
} from '../app/machine-change.ts';
import type { Control } from '../control.ts';
import { accepted, idParams, waiting } from './accepted.ts';
import { integerOf, oneOf } from './query.ts';
import { emptyBodyAllowed } from './server.ts';
import type { App } from './server.ts';

const pageLimit = 1000;
const auditLimit = 1000;

const stateOf = (query: URLSearchParams): MachineState[] | undefined => {
  const state = oneOf(query, 'state', machineStates);
  return state === undefined ? undefined : [state];
};

export const machineRoutes = (app: App, control: Control): void => {
  const { store, agent } = control;
  const json = 'application/json; charset=utf-8';

  app.get(
    '/v1/machines',
    { config: { query: ['name', 'state', 'limit', 'offset', 'tag.'] }, schema: { response: { 200: Type.Array(Machine) } } },
    async (request, reply) => {
      const query = request.query as URLSearchParams;
      const texts = await machineListTexts(request.caller, store.db, {
        name: query.get('name') ?? undefined,
        states: stateOf(query),
        tags: [...query].filter(([name]) => name.startsWith('tag.')).map(([name, value]) => [name.slice(4), value]),
        limit: integerOf(query, 'limit', { minimum: 1, maximum: pageLimit }) ?? pageLimit,
        offset: integerOf(query, 'offset', { minimum: 0, maximum: Number.MAX_SAFE_INTEGER }) ?? 0,
      });
      return reply
        .header('content-type', json)
        .header('x-resource-count', texts.length)
        .send(`[${texts.join(',')}]` as never);
    },
  );

  app.post('/v1/machines', { ...waiting, schema: { body: CreateMachine, response: { 201: Accepted } } }, async (request, reply) =>
    accepted(control, request, reply, 201, await machineCreate(control, request.caller, request.body)),
  );

  app.get('/v1/machines/:id', { schema: { params: idParams, response: { 200: Machine } } }, async (request) => {
    const { machine } = await machineGet(request.caller, store.db, request.params.id);
    return machine;
  });

  app.delete('/v1/machines/:id', { ...waiting, schema: { params: idParams, response: { 202: Accepted } } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineDelete(control, request.caller, request.params.id)),
  );

  const action = { ...waiting, preValidation: emptyBodyAllowed };
  const response = { 202: Accepted };

  app.post(
    '/v1/machines/:id/start',
    { ...action, schema: { params: idParams, body: Type.Object({}, { additionalProperties: false }), response } },
    async (request, reply) => accepted(control, request, reply, 202, await machineStart(control, request.caller, request.params.id)),
  );
  app.post('/v1/machines/:id/stop', { ...action, schema: { params: idParams, body: ActionOptions, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineStop(control, request.caller, request.params.id, request.body)),
  );
  app.post('/v1/machines/:id/reboot', { ...action, schema: { params: idParams, body: ActionOptions, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineReboot(control, request.caller, request.params.id, request.body)),
  );
  app.post('/v1/machines/:id/rename', { ...waiting, schema: { params: idParams, body: RenameMachine, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineRename(control, request.caller, request.params.id, request.body.name)),
  );
  app.post('/v1/machines/:id/resize', { ...waiting, schema: { params: idParams, body: ResizeMachine, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineResize(control, request.caller, request.params.id, request.body)),
  );
  app.post('/v1/machines/:id/metadata', { ...waiting, schema: { params: idParams, body: MetadataChange, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineMetadata(control, request.caller, request.params.id, request.body)),
  );
  app.post('/v1/machines/:id/update', { ...waiting, schema: { params: idParams, body: UpdateMachine, response } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineUpdate(control, request.caller, request.params.id, request.body)),
  );

  app.get('/v1/machines/:id/usage', { schema: { params: idParams, response: { 200: MachineUsage } } }, async (request) => {
    const { machine } = await machineMade(request.caller, store.db, request.params.id);
    return agent.machineUsage(machine.id);
  });

  app.get('/v1/machines/:id/processes', { schema: { params: idParams, response: { 200: Type.Array(MachineProcess) } } }, async (request) => {
    const { machine } = await machineMade(request.caller, store.db, request.params.id);
    return agent.machineProcesses(machine.id);
  });

  app.get('/v1/machines/:id/jobs', { schema: { params: idParams, response: { 200: Type.Array(Job) } } }, async (request) => {
    const { id } = request.params;
    const stored = await machineFind(request.caller, store.db, id);
    const jobs = stored === undefined && !isUuid(id) ? [] : await jobListByMachine(request.caller, store.db, stored?.machine.id ?? id, auditLimit);
    // The audit outlives the machine, under its id.
    if (jobs.length === 0) await machineGet(request.caller, store.db, id);
    return jobs;
  });
};
