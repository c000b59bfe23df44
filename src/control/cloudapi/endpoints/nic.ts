/** NICs: one for each machine, with the machine's address; it comes and goes with it. */
import { Type } from 'typebox';
import { machineList } from '../../../store/machine.ts';
import { publicId } from '../../../model/public-id.ts';
import { endpoint } from '../endpoint.ts';
import { notFound, notImplemented } from '../refusal.ts';
import { defaultNetwork, nicWire, WireNic } from '../wire/network.ts';
import { machineOf, viewOf } from './machine.ts';

const none = Type.Object({});
const pageLimit = 1000;

const WireIp = Type.Object({
  ip: Type.String(),
  reserved: Type.Boolean(),
  managed: Type.Boolean(),
  owner_uuid: Type.String({ format: 'uuid' }),
  belongs_to_uuid: Type.String({ format: 'uuid' }),
});

export const nicEndpoints = [
  endpoint({
    name: 'ListNics',
    method: 'GET',
    path: '/:account/machines/:machine/nics',
    parameters: none,
    answer: Type.Array(WireNic),
    handle: async (call) => {
      const { address } = await machineOf(call);
      return { body: [nicWire(address, viewOf(call).place)], headers: { 'x-query-limit': String(pageLimit), 'x-resource-count': '1' } };
    },
  }),
  endpoint({
    name: 'GetNic',
    method: 'GET',
    path: '/:account/machines/:machine/nics/:mac',
    parameters: none,
    answer: WireNic,
    handle: async (call) => {
      const { address } = await machineOf(call);
      const nic = nicWire(address, viewOf(call).place);
      if (call.path['mac']!.replaceAll(':', '') !== nic.mac.replaceAll(':', '')) throw notFound('NIC');
      return { body: nic };
    },
  }),
  endpoint({
    name: 'AddNic',
    method: 'POST',
    path: '/:account/machines/:machine/nics',
    status: 201,
    parameters: Type.Object({ network: Type.Optional(Type.Unknown()), primary: Type.Optional(Type.Boolean()) }),
    answer: WireNic,
    handle: async (call) => {
      const { id, address } = await machineOf(call);
      const asked = call.parameters.network as string | { ipv4_uuid?: string } | undefined;
      const network = typeof asked === 'string' ? asked : asked?.ipv4_uuid;
      if (network !== defaultNetwork.id) throw notFound('network');
      const nic = nicWire(address, viewOf(call).place);
      return { status: 302, body: nic, headers: { location: `/${call.account.name}/machines/${id}/nics/${nic.mac.replaceAll(':', '')}` } };
    },
  }),
  endpoint({
    name: 'RemoveNic',
    method: 'DELETE',
    path: '/:account/machines/:machine/nics/:mac',
    parameters: none,
    answer: null,
    handle: async (call) => {
      await machineOf(call);
      throw notImplemented('an instance without its NIC');
    },
  }),
  endpoint({
    name: 'ListNetworkIPs',
    method: 'GET',
    path: '/:account/networks/:network/ips',
    parameters: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: pageLimit })),
      offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
    }),
    answer: Type.Array(WireIp),
    handle: async ({ control, context, account, path, parameters: { limit = pageLimit, offset = 0 } }) => {
      if (path['network'] !== defaultNetwork.id) throw notFound('network');
      const machines = await machineList(context, control.store.db, { tags: [], limit, offset });
      const owner = publicId('account', account.id);
      const body = machines.map(({ address, id }) => ({ ip: address, reserved: false, managed: false, owner_uuid: owner, belongs_to_uuid: id }));
      return { body, headers: { 'x-query-limit': String(limit), 'x-resource-count': String(body.length) } };
    },
  }),
];
