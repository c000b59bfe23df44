/** Fabric networks that this host is told of. */
import { Type } from 'typebox';
import { invalid } from '../../base/errors.ts';
import { NetworkDefinition, subnetOf } from '../../model/network.ts';
import { parseSubnet, placeOf } from '../../model/subnet.ts';
import type { AgentRoutes } from './server.ts';

const params = Type.Object({ id: Type.String({ format: 'uuid' }) });

export const networkRoutes: AgentRoutes = (app, { host, networks }) => {
  app.get('/v1/networks', async () => networks.list());
  app.put<{ Params: { id: string }; Body: NetworkDefinition }>(
    '/v1/networks/:id',
    { schema: { params, body: NetworkDefinition } },
    async ({ params: { id }, body }, reply) => {
      if (body.id !== id) throw invalid('id', 'must equal the id in the path');
      const subnet = subnetOf(body);
      if (body.gateway !== null && placeOf(subnet, body.gateway) === null) throw invalid('gateway', `${body.gateway} is not in ${body.subnet}`);
      if (placeOf(parseSubnet('subnet', host.network.subnet), body.uplink) === null) throw invalid('uplink', `${body.uplink} is not of the external network`);
      await networks.put(body);
      return reply.status(204).send();
    },
  );
};
