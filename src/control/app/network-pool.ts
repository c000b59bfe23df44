/** Pools of shared networks: the operator makes them, and machines are put on that network of one which has an address to give. */
import { randomUUID } from 'node:crypto';
import { CenoteError, invalid } from '../../base/errors.ts';
import { canonicalAddress } from '../../model/address.ts';
import { subnetOf } from '../../model/network.ts';
import type { CreateNetworkPool, NetworkPool, UpdateNetworkPool } from '../../model/network-api.ts';
import { externalNetwork } from '../../model/nics.ts';
import { placeOf } from '../../model/subnet.ts';
import { authorize } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { networkGet } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import { poolDelete, poolGet, poolList, poolSave } from '../../store/network-pool.ts';
import type { StoredPool } from '../../store/network-pool.ts';
import type { Db } from '../../store/store.ts';
import type { Control } from '../control.ts';
import type { AddressBook } from './address-book.ts';
import { namedBy } from './field.ts';
import { refuseSharedName } from './shared-network.ts';

const mostPools = 1000;

export const networkPoolCreate = (control: Control, context: RequestContext, asked: CreateNetworkPool): Promise<NetworkPool> => {
  authorize(context, 'operate');
  return control.store.transaction(async (db) => {
    const others = await poolList(context, db);
    if (others.length >= mostPools) throw new CenoteError('over_quota', `there are ${others.length} network pools, and ${mostPools} is the most`);
    await refuseSharedName(context, db, asked.name);
    const pool: StoredPool = {
      id: randomUUID(),
      name: asked.name,
      description: asked.description ?? '',
      networks: await networksFor(context, db, asked.networks),
      createdAt: new Date().toISOString(),
    };
    await poolSave(context, db, pool);
    return shown(pool);
  });
};

export const networkPoolUpdate = (control: Control, context: RequestContext, idOrName: string, asked: UpdateNetworkPool): Promise<NetworkPool> => {
  authorize(context, 'operate');
  if (Object.keys(asked).length === 0) throw invalid('body', 'nothing to change');
  return control.store.transaction(async (db) => {
    const pool = await poolGet(context, db, idOrName);
    if (asked.name !== undefined && asked.name !== pool.name) await refuseSharedName(context, db, asked.name);
    const networks = asked.networks === undefined ? pool.networks : await networksFor(context, db, asked.networks);
    const changed = { ...pool, ...asked, networks };
    await poolSave(context, db, changed);
    return shown(changed);
  });
};

/** Machines stay on the networks that they are on. */
export const networkPoolRemove = (control: Control, context: RequestContext, idOrName: string): Promise<void> => {
  authorize(context, 'operate');
  return control.store.transaction(async (db) => poolDelete(context, db, (await poolGet(context, db, idOrName)).id));
};

export const networkPoolShow = async (control: Control, context: RequestContext, idOrName: string): Promise<NetworkPool> =>
  shown(await poolGet(context, control.store.db, idOrName));

export const networkPoolsShow = async (control: Control, context: RequestContext): Promise<NetworkPool[]> =>
  (await poolList(context, control.store.db)).map(shown);

const shown = ({ networks, ...pool }: StoredPool): NetworkPool => ({ ...pool, networks: networks.map(({ name }) => name) });

const networksFor = async (context: RequestContext, db: Db, asked: readonly string[]): Promise<StoredNetwork[]> => {
  const networks: StoredNetwork[] = [];
  for (const name of asked) {
    const network = await namedBy('networks', () => networkGet(context, db, name));
    if (network.account !== null) throw invalid('networks', `network ${JSON.stringify(network.name)} is an account's own; pools are of shared networks`);
    if (network.id === externalNetwork) throw invalid('networks', `network ${JSON.stringify(network.name)} is the host's own, and in no pool`);
    if (networks.some(({ id }) => id === network.id)) throw invalid('networks', `network ${JSON.stringify(network.name)} is named twice`);
    networks.push(network);
  }
  return networks;
};

/** In the pool's order, but for those that the machine is on already. */
export const chooseOfPool = async (
  { addresses }: { addresses: AddressBook },
  context: RequestContext,
  db: Db,
  field: string,
  pool: StoredPool,
  asked: string | undefined,
  without: readonly string[],
): Promise<StoredNetwork> => {
  const name = JSON.stringify(pool.name);
  const subnets = pool.networks.map(({ subnet }) => subnet).join(', ');
  if (asked !== undefined) {
    const network = pool.networks.find((one) => placeOf(subnetOf(one), canonicalAddress(asked)) !== null);
    if (network === undefined) throw invalid(field, `${asked} is of no network of the pool ${name}: ${subnets}`);
    return network;
  }
  const open = pool.networks.filter(({ id }) => !without.includes(id));
  if (open.length === 0) throw invalid(field, `the machine is on every network of the pool ${name} already`);
  for (const network of open) if (await addresses.hasFree(context, db, network)) return network;
  const message = `out of addresses: all of the pool ${name}, ${subnets}, are in use`;
  throw new CenoteError('in_use', message, { fields: [{ field, message }] });
};
