/** Networks, VLANs, addresses, and machines' NICs. But for NICs, what is asked is done when it is answered. */
import { Type } from 'typebox';
import { invalid } from '../../base/errors.ts';
import {
  AddressWish,
  CreateNetwork,
  CreateNetworkPool,
  CreateVlan,
  MachineNic,
  Network,
  NetworkAddress,
  NetworkPool,
  NicWish,
  ReserveAddress,
  UpdateNetwork,
  UpdateNetworkPool,
  UpdateVlan,
  Vlan,
} from '../../model/network-api.ts';
import { NetworkUsage } from '../../model/network-usage.ts';
import { vlanGet, vlanList } from '../../store/vlan.ts';
import {
  networkAddress,
  networkAddresses,
  networkCreate,
  networkMakeDefault,
  networkRemove,
  networkReserve,
  networkShow,
  networksShow,
  networkUpdate,
  networkUsage,
  vlanCreate,
  vlanRemove,
  vlanUpdate,
} from '../app/network.ts';
import { networkPoolCreate, networkPoolRemove, networkPoolShow, networkPoolsShow, networkPoolUpdate } from '../app/network-pool.ts';
import { machineAddressAdd, machineAddressRemove, machineNicAdd, machineNicMakePrimary, machineNicRemove, machineNics } from '../app/nics.ts';
import type { Control } from '../control.ts';
import { accepted, idParams, waiting } from './accepted.ts';
import { integerOf } from './query.ts';
import { emptyBodyAllowed } from './server.ts';
import type { App } from './server.ts';

const nothing = Type.Object({}, { additionalProperties: false });
const page = 1000;
const farthest = 1_000_000_000;
const addressParams = Type.Object({ ...idParams.properties, address: Type.String({ maxLength: 64 }) });
const nicParams = Type.Object({ ...idParams.properties, mac: Type.String({ maxLength: 64 }) });
const nicAddressParams = Type.Object({ ...nicParams.properties, address: Type.String({ maxLength: 64 }) });

export const networkRoutes = (app: App, control: Control): void => {
  const { store } = control;
  const network = { params: idParams, response: { 200: Network } };
  const vlan = { params: idParams, response: { 200: Vlan } };

  app.get('/v1/networks', { schema: { response: { 200: Type.Array(Network) } } }, (request) => networksShow(control, request.caller));
  app.post('/v1/networks', { schema: { body: CreateNetwork, response: { 201: Network } } }, async (request, reply) =>
    reply.code(201).send(await networkCreate(control, request.caller, request.body)),
  );
  app.get('/v1/networks/:id', { schema: network }, (request) => networkShow(control, request.caller, request.params.id));
  app.get('/v1/networks/:id/usage', { schema: { params: idParams, response: { 200: NetworkUsage } } }, (request) =>
    networkUsage(control, request.caller, request.params.id),
  );
  app.post('/v1/networks/:id/update', { schema: { ...network, body: UpdateNetwork } }, (request) =>
    networkUpdate(control, request.caller, request.params.id, request.body),
  );
  app.post('/v1/networks/:id/default', { schema: { ...network, body: nothing }, preValidation: emptyBodyAllowed }, (request) =>
    networkMakeDefault(control, request.caller, request.params.id),
  );
  app.delete('/v1/networks/:id', { schema: { params: idParams } }, async (request, reply) => {
    await networkRemove(control, request.caller, request.params.id);
    return reply.code(204).send();
  });

  app.get(
    '/v1/networks/:id/addresses',
    { config: { query: ['limit', 'offset'] }, schema: { params: idParams, response: { 200: Type.Array(NetworkAddress) } } },
    (request) => {
      const query = request.query as URLSearchParams;
      const limit = integerOf(query, 'limit', { minimum: 1, maximum: page }) ?? page;
      const offset = integerOf(query, 'offset', { minimum: 0, maximum: farthest }) ?? 0;
      return networkAddresses(control, request.caller, request.params.id, { limit, offset });
    },
  );
  app.get('/v1/networks/:id/addresses/:address', { schema: { params: addressParams, response: { 200: NetworkAddress } } }, (request) =>
    networkAddress(control, request.caller, request.params.id, request.params.address),
  );
  app.post('/v1/networks/:id/addresses/:address', { schema: { params: addressParams, body: ReserveAddress, response: { 200: NetworkAddress } } }, (request) =>
    networkReserve(control, request.caller, request.params.id, request.params.address, request.body.reserved),
  );

  const pool = { params: idParams, response: { 200: NetworkPool } };
  app.get('/v1/network-pools', { schema: { response: { 200: Type.Array(NetworkPool) } } }, (request) => networkPoolsShow(control, request.caller));
  app.post('/v1/network-pools', { schema: { body: CreateNetworkPool, response: { 201: NetworkPool } } }, async (request, reply) =>
    reply.code(201).send(await networkPoolCreate(control, request.caller, request.body)),
  );
  app.get('/v1/network-pools/:id', { schema: pool }, (request) => networkPoolShow(control, request.caller, request.params.id));
  app.post('/v1/network-pools/:id/update', { schema: { ...pool, body: UpdateNetworkPool } }, (request) =>
    networkPoolUpdate(control, request.caller, request.params.id, request.body),
  );
  app.delete('/v1/network-pools/:id', { schema: { params: idParams } }, async (request, reply) => {
    await networkPoolRemove(control, request.caller, request.params.id);
    return reply.code(204).send();
  });

  app.get('/v1/vlans', { schema: { response: { 200: Type.Array(Vlan) } } }, (request) => vlanList(request.caller, store.db));
  app.post('/v1/vlans', { schema: { body: CreateVlan, response: { 201: Vlan } } }, async (request, reply) =>
    reply.code(201).send(await vlanCreate(control, request.caller, request.body)),
  );
  app.get('/v1/vlans/:id', { schema: vlan }, (request) => vlanGet(request.caller, store.db, vlanId(request.params.id)));
  app.post('/v1/vlans/:id/update', { schema: { ...vlan, body: UpdateVlan } }, (request) =>
    vlanUpdate(control, request.caller, vlanId(request.params.id), request.body),
  );
  app.delete('/v1/vlans/:id', { schema: { params: idParams } }, async (request, reply) => {
    await vlanRemove(control, request.caller, vlanId(request.params.id));
    return reply.code(204).send();
  });

  app.get('/v1/machines/:id/nics', { schema: { params: idParams, response: { 200: Type.Array(MachineNic) } } }, (request) =>
    machineNics(control, request.caller, request.params.id),
  );
  app.post('/v1/machines/:id/nics', { ...waiting, schema: { params: idParams, body: NicWish } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineNicAdd(control, request.caller, request.params.id, request.body)),
  );
  app.post(
    '/v1/machines/:id/nics/:mac/primary',
    { ...waiting, schema: { params: nicParams, body: nothing }, preValidation: emptyBodyAllowed },
    async (request, reply) =>
      accepted(control, request, reply, 202, await machineNicMakePrimary(control, request.caller, request.params.id, request.params.mac)),
  );
  app.post('/v1/machines/:id/nics/:mac/addresses', { ...waiting, schema: { params: nicParams, body: AddressWish } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineAddressAdd(control, request.caller, request.params.id, request.params.mac, request.body)),
  );
  app.delete('/v1/machines/:id/nics/:mac/addresses/:address', { ...waiting, schema: { params: nicAddressParams } }, async (request, reply) => {
    const { id, mac, address } = request.params;
    return accepted(control, request, reply, 202, await machineAddressRemove(control, request.caller, id, mac, address));
  });
  app.delete('/v1/machines/:id/nics/:mac', { ...waiting, schema: { params: nicParams } }, async (request, reply) =>
    accepted(control, request, reply, 202, await machineNicRemove(control, request.caller, request.params.id, request.params.mac)),
  );
};

export const vlanId = (text: string): number => {
  if (!/^\d{1,4}$/.test(text) || Number(text) > 4095) throw invalid('vlan', `${JSON.stringify(text.slice(0, 40))} is not the number of a VLAN, 0 to 4095`);
  return Number(text);
};
