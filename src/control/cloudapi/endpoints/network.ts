/** Networks: one, until accounts have their own. */
import { Type } from 'typebox';
import { endpoint } from '../endpoint.ts';
import { notFound } from '../refusal.ts';
import { defaultNetwork, WireNetwork } from '../wire/network.ts';

export const networkEndpoints = [
  endpoint({
    name: 'ListNetworks',
    method: 'GET',
    path: '/:account/networks',
    parameters: Type.Object({ fabric: Type.Optional(Type.Boolean()) }),
    answer: Type.Array(WireNetwork),
    handle: ({ parameters }) => ({ body: parameters.fabric === true ? [] : [defaultNetwork] }),
  }),
  endpoint({
    name: 'GetNetwork',
    method: 'GET',
    path: '/:account/networks/:network',
    parameters: Type.Object({}),
    answer: WireNetwork,
    handle: ({ path }) => {
      if (path['network'] !== defaultNetwork.id) throw notFound('network');
      return { body: defaultNetwork };
    },
  }),
];
