/** VLANs and networks that an account makes for itself. */
import { Type } from 'typebox';
import { IpAddress, mostSubnetCharacters, NetworkRoutes } from '../../../model/network.ts';
import type { CreateNetwork, Network, UpdateNetwork, Vlan } from '../../../model/network-api.ts';
import { vlanGet, vlanList } from '../../../store/vlan.ts';
import { networkCreate, networkRemove, networkShow, networksShow, networkUpdate, vlanCreate, vlanRemove, vlanUpdate } from '../../app/network.ts';
import { vlanId } from '../../http/network-routes.ts';
import type { Call, Method } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { notFound } from '../refusal.ts';
import { networkWire, WireNetwork } from '../wire/network.ts';

const none = Type.Object({});
const text = Type.Optional(Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' }));
const name = Type.String({ minLength: 1, maxLength: 64 });

const WireVlan = Type.Object({ vlan_id: Type.Integer(), name: Type.String(), description: Type.Optional(Type.String()) });

const vlanWire = ({ id, name: called, description }: Vlan) => ({ vlan_id: id, name: called, ...(description === '' ? {} : { description }) });

const vlans = '/:account/fabrics/default/vlans';
const vlan = `${vlans}/:vlan`;
const networks = `${vlan}/networks`;
const network = `${networks}/:network`;

const numberOf = ({ path }: Pick<Call, 'path'>): number => {
  try {
    return vlanId(path['vlan']!);
  } catch {
    throw notFound('VLAN');
  }
};

/** One of the account's own, on the VLAN that the path says. */
const networkOf = async (call: Pick<Call, 'control' | 'context' | 'path'>): Promise<Network> => {
  const number = numberOf(call);
  const found = await networkShow(call.control, call.context, call.path['network']!);
  if (!found.fabric || found.vlan !== number) throw notFound('network');
  return found;
};

const networkChanges = {
  description: text,
  provision_start_ip: Type.Optional(IpAddress),
  provision_end_ip: Type.Optional(IpAddress),
  resolvers: Type.Optional(Type.Array(IpAddress, { maxItems: 4 })),
  routes: Type.Optional(NetworkRoutes),
  internet_nat: Type.Optional(Type.Boolean()),
};

interface AskedNetwork {
  description?: string;
  provision_start_ip?: string;
  provision_end_ip?: string;
  resolvers?: string[];
  routes?: NetworkRoutes;
  internet_nat?: boolean;
}

const changesOf = (asked: AskedNetwork): Omit<UpdateNetwork, 'name'> => {
  const { description, provision_start_ip: rangeFirst, provision_end_ip: rangeLast, resolvers, routes, internet_nat: internetNat } = asked;
  return {
    ...(description === undefined ? {} : { description }),
    ...(rangeFirst === undefined ? {} : { rangeFirst }),
    ...(rangeLast === undefined ? {} : { rangeLast }),
    ...(resolvers === undefined ? {} : { resolvers }),
    ...(routes === undefined ? {} : { routes }),
    ...(internetNat === undefined ? {} : { internetNat }),
  };
};

/** Clients send POST where CloudAPI's documentation says PUT. */
const updateVlan = (called: string, method: Method) =>
  endpoint({
    name: called,
    method,
    path: vlan,
    status: 202,
    parameters: Type.Object({ name: Type.Optional(name), description: text }),
    answer: WireVlan,
    handle: async (call) => ({ body: vlanWire(await vlanUpdate(call.control, call.context, numberOf(call), call.parameters)) }),
  });

export const fabricEndpoints = [
  endpoint({
    name: 'ListFabricVLANs',
    method: 'GET',
    path: vlans,
    parameters: none,
    answer: Type.Array(WireVlan),
    handle: async ({ control, context }) => ({ body: (await vlanList(context, control.store.db)).map(vlanWire) }),
  }),
  endpoint({
    name: 'CreateFabricVLAN',
    method: 'POST',
    path: vlans,
    status: 201,
    parameters: Type.Object({ vlan_id: Type.Integer({ minimum: 0, maximum: 4095 }), name, description: text }),
    answer: WireVlan,
    handle: async ({ control, context, account, parameters: { vlan_id: id, ...rest } }) => {
      const made = await vlanCreate(control, context, { id, ...rest });
      return { body: vlanWire(made), headers: { location: `/${account.name}/fabrics/default/vlans/${id}` } };
    },
  }),
  endpoint({
    name: 'GetFabricVLAN',
    method: 'GET',
    path: vlan,
    parameters: none,
    answer: WireVlan,
    handle: async (call) => ({ body: vlanWire(await vlanGet(call.context, call.control.store.db, numberOf(call))) }),
  }),
  updateVlan('UpdateFabricVLAN', 'PUT'),
  updateVlan('UpdateFabricVLANByPost', 'POST'),
  endpoint({
    name: 'DeleteFabricVLAN',
    method: 'DELETE',
    path: vlan,
    parameters: none,
    answer: null,
    handle: async (call) => {
      await vlanRemove(call.control, call.context, numberOf(call));
      return {};
    },
  }),
  endpoint({
    name: 'ListFabricNetworks',
    method: 'GET',
    path: networks,
    parameters: none,
    answer: Type.Array(WireNetwork),
    handle: async (call) => {
      const { id } = await vlanGet(call.context, call.control.store.db, numberOf(call));
      return { body: (await networksShow(call.control, call.context)).filter((one) => one.vlan === id).map(networkWire) };
    },
  }),
  endpoint({
    name: 'CreateFabricNetwork',
    method: 'POST',
    path: networks,
    status: 201,
    parameters: Type.Object({
      name,
      subnet: Type.String({ minLength: 1, maxLength: mostSubnetCharacters }),
      ...networkChanges,
      provision_start_ip: IpAddress,
      provision_end_ip: IpAddress,
      gateway: Type.Optional(IpAddress),
    }),
    answer: WireNetwork,
    handle: async (call) => {
      const { control, context, account, parameters } = call;
      const { id } = await vlanGet(context, control.store.db, numberOf(call));
      const asked: CreateNetwork = {
        ...changesOf(parameters),
        name: parameters.name,
        subnet: parameters.subnet,
        vlan: id,
        gateway: parameters.gateway ?? null,
      };
      const made = await networkCreate(control, context, asked);
      return { body: networkWire(made), headers: { location: `/${account.name}/fabrics/default/vlans/${id}/networks/${made.id}` } };
    },
  }),
  endpoint({
    name: 'GetFabricNetwork',
    method: 'GET',
    path: network,
    parameters: none,
    answer: WireNetwork,
    handle: async (call) => ({ body: networkWire(await networkOf(call)) }),
  }),
  endpoint({
    name: 'UpdateFabricNetwork',
    method: 'PUT',
    path: network,
    status: 202,
    parameters: Type.Object({ name: Type.Optional(name), ...networkChanges }),
    answer: WireNetwork,
    handle: async (call) => {
      const { id } = await networkOf(call);
      const { name: called } = call.parameters;
      const asked = { ...changesOf(call.parameters), ...(called === undefined ? {} : { name: called }) };
      return { body: networkWire(await networkUpdate(call.control, call.context, id, asked)) };
    },
  }),
  endpoint({
    name: 'DeleteFabricNetwork',
    method: 'DELETE',
    path: network,
    parameters: none,
    answer: null,
    handle: async (call) => {
      await networkRemove(call.control, call.context, (await networkOf(call)).id);
      return {};
    },
  }),
];
