/** Machines and their lives. */
import { Type } from 'typebox';
import { Generation, MachineAction, MachineCreate, MachineRename, MachineUpdate } from '../../model/agent-api.ts';
import type { AgentRoutes } from './server.ts';

const params = Type.Object({ id: Type.String({ format: 'uuid' }) });
type ById = { Params: { id: string } };

export const machineRoutes: AgentRoutes = (app, { machines }) => {
  const schema = (body: object) => ({ schema: { params, body } });

  app.get('/v1/machines', async () => machines.list());
  app.get<ById>('/v1/machines/:id', { schema: { params } }, async ({ params: { id } }) => machines.get(id).status());
  app.put<ById & { Body: MachineCreate }>('/v1/machines/:id', schema(MachineCreate), ({ params: { id }, body }) => machines.create(id, body));
  app.post<ById & { Body: MachineAction }>('/v1/machines/:id/start', schema(MachineAction), ({ params: { id }, body }) => machines.start(id, body));
  app.post<ById & { Body: MachineAction }>('/v1/machines/:id/stop', schema(MachineAction), ({ params: { id }, body }) => machines.stop(id, body));
  app.post<ById & { Body: MachineAction }>('/v1/machines/:id/restart', schema(MachineAction), ({ params: { id }, body }) => machines.restart(id, body));
  app.post<ById & { Body: MachineUpdate }>('/v1/machines/:id/update', schema(MachineUpdate), ({ params: { id }, body }) => machines.update(id, body));
  app.post<ById & { Body: MachineRename }>('/v1/machines/:id/rename', schema(MachineRename), ({ params: { id }, body }) =>
    machines.rename(id, body.generation, body.name),
  );
  app.delete<ById & { Body: { generation: number } }>('/v1/machines/:id', schema(Generation), async ({ params: { id }, body }, reply) => {
    await machines.delete(id, body.generation);
    return reply.status(204).send();
  });
};
