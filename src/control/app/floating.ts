/** Floating addresses: an account takes one of a public network, and attaches it to one machine after another, each time in one move. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { familyOf } from '../../model/address.ts';
import { subnetOf } from '../../model/network.ts';
import type { CreateFloatingAddress, FloatingAddress } from '../../model/network-api.ts';
import { externalNetwork, nicsOf } from '../../model/nics.ts';
import type { Machine } from '../../model/control-api.ts';
import { authorize, systemContext as system } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { eventAppend } from '../../store/event.ts';
import { floatingDelete, floatingGet, floatingInsert, floatingList } from '../../store/floating.ts';
import type { StoredFloating } from '../../store/floating.ts';
import { machineGet } from '../../store/machine.ts';
import { networkFind, networkGet, networkListByIds } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import { poolFind } from '../../store/network-pool.ts';
import type { Db } from '../../store/store.ts';
import type { Control } from '../control.ts';
import { demandAddress } from './address-book.ts';
import { namedBy } from './field.ts';
import { chooseOfPool } from './network-pool.ts';

/** Of one account. */
const mostFloating = 64;

export const floatingCreate = async (control: Control, context: RequestContext, asked: CreateFloatingAddress): Promise<FloatingAddress> => {
  authorize(context, 'write');
  const made = await control.store.transaction(async (db) => {
    const had = (await floatingList(context, db)).length;
    if (had >= mostFloating) throw new CenoteError('over_quota', `the account has ${had} floating addresses, and ${mostFloating} is the most`);
    const network = await publicNetwork(control, context, db, asked);
    if (asked.address !== undefined) await demandAddress(context, db, network, asked.address);
    const address = asked.address ?? (await control.addresses.choose(context, db, network));
    const { id, name } = network;
    const floating: StoredFloating = { address, network: id, networkName: name, account: context.account, machine: null, version: nextVersion(0) };
    await floatingInsert(context, db, floating);
    await tell(context, db, 'created', floating, null);
    return floating;
  });
  control.events.notify();
  return shown(made);
};

const publicNetwork = async (control: Control, context: RequestContext, db: Db, { network: name, address }: CreateFloatingAddress): Promise<StoredNetwork> => {
  const pool = (await networkFind(context, db, name)) === undefined ? await poolFind(context, db, name) : undefined;
  const network =
    pool === undefined ? await namedBy('network', () => networkGet(context, db, name)) : await chooseOfPool(control, context, db, 'network', pool, address, []);
  if (network.isPublic && subnetOf(network).family === 6)
    throw invalid('network', `network ${JSON.stringify(network.name)} is of IPv6, whose addresses do not float`, 'a machine may have further ones of them');
  if (network.isPublic) return network;
  const why = network.id === externalNetwork ? "the host's own" : network.account === null ? 'hidden behind the host' : "an account's own";
  throw invalid('network', `network ${JSON.stringify(network.name)} is ${why}; floating addresses are of public networks`, 'operators make one with --public');
};

/** From whoever has it now, in one move; of a machine that does not run, it is so when it does. */
export const floatingAttach = (control: Control, context: RequestContext, address: string, idOrName: string): Promise<FloatingAddress> =>
  change(control, context, address, async (db) => {
    const { machine } = await namedBy('machine', async () => {
      const found = await machineGet(context, db, idOrName);
      if (context.visible?.has(found.machine.id) !== false) return found;
      throw new CenoteError('not_found', `there is no machine ${JSON.stringify(idOrName.slice(0, 80))}`);
    });
    await demandWayOut(db, machine);
    return machine;
  });

export const floatingDetach = (control: Control, context: RequestContext, address: string): Promise<FloatingAddress> =>
  change(control, context, address, async () => null);

/** Answers would not find their way. */
const demandWayOut = async (db: Db, machine: Machine): Promise<void> => {
  const primary = nicsOf(machine).find((nic) => nic.primary)!;
  if (familyOf(primary.address) === 6)
    throw invalid(
      'machine',
      `the primary address of machine ${JSON.stringify(machine.name)}, ${primary.address}, is of IPv6, to which a floating one does not lead`,
      'addresses of a public network of IPv6 need not float: cenote nic address add gives it one more, and nic address remove takes it away for another',
    );
  const [network] = primary.network === externalNetwork ? [] : await networkListByIds(system, db, [primary.network]);
  if (network?.gateway !== null) return;
  const name = JSON.stringify(machine.name);
  throw invalid('machine', `the primary network of machine ${name}, ${JSON.stringify(network.name)}, has no gateway: it does not lead outside`);
};

const change = async (control: Control, context: RequestContext, address: string, choose: (db: Db) => Promise<Machine | null>): Promise<FloatingAddress> => {
  authorize(context, 'write');
  demandHost(control);
  const concerned = new Set<string>();
  const changed = await control.store.transaction(async (db) => {
    const former = await floatingGet(context, db, address);
    const machine = await choose(db);
    const floating = { ...former, machine: machine?.id ?? null, version: nextVersion(former.version) };
    if (floating.machine === former.machine) return former;
    await floatingInsert(context, db, floating);
    await tell(context, db, machine === null ? 'detached' : 'attached', floating, machine);
    for (const id of [former.machine, floating.machine]) if (id !== null) concerned.add(id);
    return floating;
  });
  control.events.notify();
  for (const id of concerned) control.changes.tell(id);
  await tellHost(control, changed);
  return shown(changed);
};

/** It was there a moment ago. What it has missed it is told when it is back. */
const tellHost = async ({ floating }: Control, changed: StoredFloating): Promise<void> => {
  try {
    await floating.tell(changed);
  } catch (cause) {
    throw new CenoteError('unavailable', `the host could not be told where ${changed.address} leads; it is as soon as it can be reached`, { cause });
  }
};

/** What is asked of a host that is away would be neither done nor refused. */
const demandHost = ({ link }: Control): void => {
  if (!link.inStep) throw new CenoteError('unavailable', "the host's agent cannot be reached; nothing was changed");
};

export const floatingRemove = async (control: Control, context: RequestContext, address: string): Promise<void> => {
  authorize(context, 'write');
  demandHost(control);
  const { db } = control.store;
  const found = await floatingGet(context, db, address);
  await refuseAttached(context, db, found);
  // Else a host that has missed it would bring it back.
  await control.floating.tell(found);
  await control.store.transaction(async (inTransaction) => {
    const floating = await floatingGet(context, inTransaction, address);
    await refuseAttached(context, inTransaction, floating);
    await floatingDelete(context, inTransaction, floating);
    await tell(context, inTransaction, 'deleted', floating, null);
  });
  control.events.notify();
};

const refuseAttached = async (context: RequestContext, db: Db, { address, machine: id }: StoredFloating): Promise<void> => {
  if (id === null) return;
  const { machine } = await machineGet(context, db, id);
  throw new CenoteError('in_use', `${address} is attached to machine ${JSON.stringify(machine.name)}`, { advice: 'detach it first' });
};

export const floatingShow = async (control: Control, context: RequestContext, address: string): Promise<FloatingAddress> =>
  shown(await floatingGet(context, control.store.db, address));

export const floatingsShow = async (control: Control, context: RequestContext): Promise<FloatingAddress[]> =>
  (await floatingList(context, control.store.db)).map(shown);

const shown = ({ address, network, networkName, machine }: StoredFloating): FloatingAddress => ({ address, network, networkName, machine });

/** Also of one that is made again, which a host may remember. */
const nextVersion = (former: number): number => Math.max(former + 1, Date.now());

/** The audit: who did what. */
const tell = (
  { actor, account }: RequestContext,
  db: Db,
  what: 'created' | 'attached' | 'detached' | 'deleted',
  { address, networkName }: StoredFloating,
  machine: Machine | null,
): Promise<void> =>
  eventAppend(system, db, [
    {
      account,
      at: new Date().toISOString(),
      type: `floating.${what}`,
      subject: machine?.id ?? address,
      message: `floating address ${address} ${what}${machine === null ? '' : ` to ${machine.name}`}`,
      detail: { actor, address, network: networkName, machine: machine?.name ?? null },
    },
  ]);
