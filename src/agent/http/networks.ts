/** Networks that this host is told of, and whose floating addresses are. */
import { Type } from 'typebox';
import { invalid } from '../../base/errors.ts';
import { FloatingState, NetworkDefinition, subnetOf } from '../../model/network.ts';
import { networksOf } from '../../model/nics.ts';
import { parseSubnet, placeOf } from '../../model/subnet.ts';
import type { AgentRoutes } from './server.ts';

const params = Type.Object({ id: Type.String({ format: 'uuid' }) });
const addressParams = Type.Object({ address: Type.String({ format: 'ipv4' }) });

export const networkRoutes: AgentRoutes = (app, { host, machines, networks, floating }) => {
  // Only those that machines are on: what else the host was told of, it need not tell a store that has forgotten it.
  app.get('/v1/networks', async () => {
    const used = networksOf(Array.from(machines.all(), ({ spec }) => spec));
    return networks.list().filter(({ id }) => used.has(id));
  });
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

  app.get<{ Params: { id: string } }>('/v1/networks/:id/usage', { schema: { params } }, ({ params: { id } }) => host.network.usage(id));

  app.get('/v1/floating-addresses', async () => floating.list());
  app.put<{ Params: { address: string }; Body: FloatingState }>(
    '/v1/floating-addresses/:address',
    { schema: { params: addressParams, body: FloatingState } },
    async ({ params: { address }, body }, reply) => {
      if (body.address !== address) throw invalid('address', 'must equal the address in the path');
      if (placeOf(parseSubnet('subnet', host.network.subnet), address) !== null) throw invalid('address', `${address} is of the external network`);
      await floating.put(body);
      return reply.status(204).send();
    },
  );
};
