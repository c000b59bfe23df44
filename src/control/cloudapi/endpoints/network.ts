/** Networks that an account's machines may be on, and the addresses in them. */
import { Type } from 'typebox';
import { publicId } from '../../../model/public-id.ts';
import type { NetworkAddress } from '../../../model/network-api.ts';
import { networkAddress, networkAddresses, networkReserve, networkShow, networksShow } from '../../app/network.ts';
import { poolFind, poolList } from '../../../store/network-pool.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { networkWire, poolWire, WireNetwork } from '../wire/network.ts';

const none = Type.Object({});
const pageLimit = 1000;

const WireIp = Type.Object({
  ip: Type.String(),
  reserved: Type.Boolean(),
  managed: Type.Boolean(),
  owner_uuid: Type.Optional(Type.String({ format: 'uuid' })),
  belongs_to_uuid: Type.Optional(Type.String({ format: 'uuid' })),
});

const ipWire = ({ account }: Pick<Call, 'account'>, { address, reserved, managed, machine }: NetworkAddress) => ({
  ip: address,
  reserved,
  managed,
  ...(machine === null && !reserved ? {} : { owner_uuid: publicId('account', account.id) }),
  ...(machine === null ? {} : { belongs_to_uuid: machine }),
});

const one = '/:account/networks/:network';

export const networkEndpoints = [
  endpoint({
    name: 'ListNetworks',
    method: 'GET',
    path: '/:account/networks',
    parameters: Type.Object({ fabric: Type.Optional(Type.Boolean()) }),
    answer: Type.Array(WireNetwork),
    handle: async ({ control, context, parameters }) => {
      const networks = await networksShow(control, context);
      if (parameters.fabric === true) return { body: networks.filter(({ fabric }) => fabric).map(networkWire) };
      return { body: [...networks.map(networkWire), ...(await poolList(context, control.store.db)).map(poolWire)] };
    },
  }),
  endpoint({
    name: 'GetNetwork',
    method: 'GET',
    path: one,
    parameters: none,
    answer: WireNetwork,
    handle: async ({ control, context, path }) => {
      const pool = await poolFind(context, control.store.db, path['network']!);
      return { body: pool === undefined ? networkWire(await networkShow(control, context, path['network']!)) : poolWire(pool) };
    },
  }),
  endpoint({
    name: 'ListNetworkIPs',
    method: 'GET',
    path: `${one}/ips`,
    parameters: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: pageLimit })),
      offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
    }),
    answer: Type.Array(WireIp),
    handle: async (call) => {
      const { limit = pageLimit, offset = 0 } = call.parameters;
      const found = await networkAddresses(call.control, call.context, call.path['network']!, { limit, offset });
      const body = found.map((address) => ipWire(call, address));
      return { body, headers: { 'x-query-limit': String(limit), 'x-resource-count': String(body.length) } };
    },
  }),
  endpoint({
    name: 'GetNetworkIP',
    method: 'GET',
    path: `${one}/ips/:ip`,
    parameters: none,
    answer: WireIp,
    handle: async (call) => ({ body: ipWire(call, await networkAddress(call.control, call.context, call.path['network']!, call.path['ip']!)) }),
  }),
  endpoint({
    name: 'UpdateNetworkIP',
    method: 'PUT',
    path: `${one}/ips/:ip`,
    parameters: Type.Object({ reserved: Type.Boolean() }),
    answer: WireIp,
    handle: async (call) => {
      const { control, context, path, parameters } = call;
      return { body: ipWire(call, await networkReserve(control, context, path['network']!, path['ip']!, parameters.reserved)) };
    },
  }),
];
