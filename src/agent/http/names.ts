/** Whose machines have names, as the control plane says. */
import { NamesTold } from '../../model/names-api.ts';
import type { AgentRoutes } from './server.ts';

export const nameRoutes: AgentRoutes = (app, { host }) => {
  app.get('/v1/names', async () => host.names.status);
  app.put<{ Body: NamesTold }>('/v1/names', { schema: { body: NamesTold } }, async ({ body }, reply) => {
    await host.names.setAccounts(body);
    return reply.code(204).send();
  });
};
