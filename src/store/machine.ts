/**
 * Machines as the control plane knows them: the row, and the claims that make a name or a published port impossible to have twice. A claim
 * is added when an action that needs it is accepted, and what is no longer needed is dropped when the machine's last action has ended.
 */
import { sql } from 'kysely';
import type { Selectable } from 'kysely';
import { CenoteError } from '../base/errors.ts';
import { isUuid } from '../base/ids.ts';
import { platformKey } from '../model/agent-api.ts';
import type { Machine } from '../model/control-api.ts';
import type { MachineSpec, MachineState, PublishedPort } from '../model/machine.ts';
import { guaranteesWithout, noGuarantees } from '../model/resources.ts';
import type { Guarantees } from '../model/resources.ts';
import { addressRelease } from './address.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { MachineNameTable, MachineTable } from './schema.ts';
import { setAsideAdd } from './set-aside.ts';
import type { Db } from './store.ts';

export interface StoredMachine {
  machine: Machine;
  spec: MachineSpec;
  reserved: Guarantees;
  /** What is set aside for it as the row has it, read in the transaction that may write it; nothing, where there is no row yet. */
  readonly held: Guarantees;
  /** How many addresses it holds: fewer than it has NICs when one of them went to another. */
  addresses: number;
}

export interface MachineListFilter {
  name?: string | undefined;
  ids?: ReadonlySet<string> | undefined;
  /** What the name begins with. */
  namePrefix?: string | undefined;
  /** One of these. */
  states?: readonly MachineState[] | undefined;
  image?: string | undefined;
  memoryMib?: number | undefined;
  tags: [name: string, value: string][];
  limit: number;
  offset: number;
}

const columnsOf = ({ machine, spec, reserved }: StoredMachine): MachineTable => ({
  id: machine.id,
  account: machine.account,
  name: machine.name,
  state: machine.state,
  desired: machine.desired,
  generation: machine.generation,
  package: machine.package?.name ?? null,
  package_version: machine.package?.version ?? null,
  image: machine.image.id,
  platform: machine.platform === null ? null : platformKey(machine.platform),
  cpu_millis: reserved.cpuMillis,
  memory_mib: reserved.memoryMib,
  disk_mib: reserved.diskMib,
  network_mbps: reserved.networkMbps,
  spec: JSON.stringify(spec),
  body: JSON.stringify(machine),
  created_at: machine.createdAt,
});

type StoredColumns = Pick<Selectable<MachineTable>, 'spec' | 'body' | 'cpu_millis' | 'memory_mib' | 'disk_mib' | 'network_mbps'> & { addresses: number };
const storedColumns = [
  'machine.spec',
  'machine.body',
  sql<number>`(select count(*) from address where address.machine = machine.id)`.as('addresses'),
  'machine.cpu_millis',
  'machine.memory_mib',
  'machine.disk_mib',
  'machine.network_mbps',
] as const;

const storedOf = (row: StoredColumns): StoredMachine => {
  const held = heldOf(row);
  return { machine: JSON.parse(row.body) as Machine, spec: JSON.parse(row.spec) as MachineSpec, reserved: { ...held }, held, addresses: Number(row.addresses) };
};

const heldOf = (row: Pick<StoredColumns, 'cpu_millis' | 'memory_mib' | 'disk_mib' | 'network_mbps'>): Guarantees => ({
  cpuMillis: row.cpu_millis,
  memoryMib: row.memory_mib,
  diskMib: row.disk_mib,
  networkMbps: row.network_mbps,
});

const insertRow = new Compiled((db, row: Slots<MachineTable>) => db.insertInto('machine').values(row));
const updateRow = new Compiled((db, { id, account: _account, created_at: _createdAt, ...columns }: Slots<MachineTable>) =>
  db.updateTable('machine').set(columns).where('id', '=', id),
);
/** Changes no row where one of those columns is another that indexes have: SQLite writes the entries anew of each column that is set. */
const updateUnindexed = new Compiled((db, row: Slots<MachineTable>) => {
  const { desired, generation, cpu_millis, memory_mib, disk_mib, network_mbps, spec, body } = row;
  return db
    .updateTable('machine')
    .set({ desired, generation, cpu_millis, memory_mib, disk_mib, network_mbps, spec, body })
    .where('id', '=', row.id)
    .where('name', '=', row.name)
    .where('state', '=', row.state)
    .where('image', '=', row.image)
    .where('platform', 'is not distinct from', row.platform)
    .where('package', 'is not distinct from', row.package)
    .where('package_version', 'is not distinct from', row.package_version);
});

/** The row with its claims on name and ports. */
export const machineInsert = async (context: RequestContext, db: Db, stored: StoredMachine): Promise<void> => {
  authorize(context, 'write');
  await insertRow.change(db, columnsOf(stored));
  await setAsideAdd(context, db, stored.machine.account, 1, stored.reserved);
  Object.assign(stored.held, stored.reserved);
  await machineClaimName(context, db, stored.machine, stored.machine.name);
  await machineClaimPorts(context, db, stored.machine, stored.machine.publish);
  await tagsInsert(db, stored.machine);
};

export const machineSave = async (context: RequestContext, db: Db, stored: StoredMachine): Promise<void> => {
  authorize(context, 'write');
  const columns = columnsOf(stored);
  if ((await updateUnindexed.change(db, columns)) === 0n) await updateRow.change(db, columns);
  const more = guaranteesWithout(stored.reserved, stored.held);
  if (Object.values(more).every((value) => value === 0)) return;
  await setAsideAdd(context, db, stored.machine.account, 0, more);
  Object.assign(stored.held, stored.reserved);
};

/** Rewrites the tags that lists are filtered by; only needed when they changed. */
export const machineSaveTags = async (context: RequestContext, db: Db, machine: Machine): Promise<void> => {
  authorize(context, 'write');
  await db.deleteFrom('machine_tag').where('machine', '=', machine.id).execute();
  await tagsInsert(db, machine);
};

const tagsInsert = async (db: Db, machine: Machine): Promise<void> => {
  const rows = Object.entries(machine.tags).map(([name, value]) => ({ machine: machine.id, name, value: String(value) }));
  for (let at = 0; at < rows.length; at += 500)
    await db
      .insertInto('machine_tag')
      .values(rows.slice(at, at + 500))
      .execute();
};

const anybodys = new Compiled((db, { id }: Slots<{ id: string }>) => db.selectFrom('machine').select(storedColumns).where('id', '=', id));
const ownById = new Compiled((db, { id, account }: Slots<{ id: string; account: string }>) =>
  db.selectFrom('machine').select(storedColumns).where('id', '=', id).where('account', '=', account),
);
const ownByName = new Compiled((db, { name, account }: Slots<{ name: string; account: string }>) =>
  db.selectFrom('machine').select(storedColumns).where('name', '=', name).where('account', '=', account),
);

export const machineFind = async (context: RequestContext, db: Db, idOrName: string): Promise<StoredMachine | undefined> => {
  authorize(context, 'read');
  const { role, account } = context;
  const rowOf = (): Promise<StoredColumns | undefined> => {
    if (!isUuid(idOrName)) return ownByName.row(db, { name: idOrName, account });
    return role === 'system' ? anybodys.row(db, { id: idOrName }) : ownById.row(db, { id: idOrName, account });
  };
  const row = await rowOf();
  return row === undefined ? undefined : storedOf(row);
};

const accountOfRow = new Compiled((db, { id }: Slots<{ id: string }>) => db.selectFrom('machine').select('account').where('id', '=', id));

/** Whose it is. */
export const machineAccount = async (context: RequestContext, db: Db, id: string): Promise<string | undefined> => {
  authorize(context, 'keep');
  return (await accountOfRow.row(db, { id }))?.account;
};

const ownShown = new Compiled((db, { id, account }: Slots<{ id: string; account: string }>) =>
  db.selectFrom('machine').select('body').where('id', '=', id).where('account', '=', account),
);

/** As the API shows it, where nothing else of the row is wanted. */
export const machineShown = async (context: RequestContext, db: Db, id: string): Promise<Machine | undefined> => {
  authorize(context, 'read');
  const row = await ownShown.row(db, { id, account: context.account });
  return row === undefined ? undefined : (JSON.parse(row.body) as Machine);
};

export const machineGet = async (context: RequestContext, db: Db, idOrName: string): Promise<StoredMachine> => {
  const stored = await machineFind(context, db, idOrName);
  if (stored === undefined) throw new CenoteError('not_found', `there is no machine ${JSON.stringify(idOrName.slice(0, 80))}`);
  return stored;
};

const pageOf = async (context: RequestContext, db: Db, filter: MachineListFilter): Promise<string[]> => {
  const { ids = context.visible, name, namePrefix, states, image, memoryMib } = filter;
  if (ids?.size === 0) return [];
  let query = db.selectFrom('machine').select('body').where('account', '=', context.account);
  if (ids !== undefined) query = query.where('id', 'in', [...ids]);
  if (name !== undefined) query = query.where('name', '=', name);
  // Not by order, which collations change, nor by `like`, whose case they do.
  if (namePrefix !== undefined) query = query.where(sql<string>`substr(name, 1, ${namePrefix.length})`, '=', namePrefix);
  if (states !== undefined) query = query.where('state', 'in', states);
  if (image !== undefined) query = query.where('image', '=', image);
  if (memoryMib !== undefined) query = query.where('memory_mib', '=', memoryMib);
  for (const [name, value] of filter.tags) {
    query = query.where('id', 'in', (tags) => tags.selectFrom('machine_tag').select('machine').where('name', '=', name).where('value', '=', value));
  }
  const rows = await query.orderBy('name').orderBy('id').limit(filter.limit).offset(filter.offset).execute();
  return rows.map((row) => row.body);
};

/** One page of machines by name, each as its row has it: JSON. */
export const machineListTexts = async (context: RequestContext, db: Db, filter: MachineListFilter): Promise<string[]> => {
  authorize(context, 'read');
  return pageOf(context, db, filter);
};

export const machineList = async (context: RequestContext, db: Db, filter: MachineListFilter): Promise<Machine[]> => {
  authorize(context, 'read');
  return (await pageOf(context, db, filter)).map((body) => JSON.parse(body) as Machine);
};

/** Every machine of the account. */
export const machineListAccount = async (context: RequestContext, db: Db): Promise<Machine[]> => {
  authorize(context, 'read');
  const rows = await db.selectFrom('machine').select('body').where('account', '=', context.account).orderBy('name').orderBy('id').execute();
  return rows.map(({ body }) => JSON.parse(body) as Machine);
};

/** Every machine of every account, for comparing with what a host reports. */
export const machineListAll = async (context: RequestContext, db: Db): Promise<StoredMachine[]> => {
  authorize(context, 'keep');
  return (await db.selectFrom('machine').select(storedColumns).execute()).map(storedOf);
};

const deleteRow = new Compiled((db, { id }: Slots<{ id: string }>) =>
  db.deleteFrom('machine').where('id', '=', id).returning(['account', 'cpu_millis', 'memory_mib', 'disk_mib', 'network_mbps']),
);

/** The row, its claims and its addresses, all at once. */
export const machineRemove = async (context: RequestContext, db: Db, id: string): Promise<void> => {
  authorize(context, 'keep');
  await addressRelease(context, db, id);
  const row = await deleteRow.row(db, { id });
  if (row !== undefined) await setAsideAdd(context, db, row.account, -1, guaranteesWithout(noGuarantees, heldOf(row)));
};

const nameHolder = new Compiled((db, { account, name }: Slots<{ account: string; name: string }>) =>
  db.selectFrom('machine_name').select('machine').where('account', '=', account).where('name', '=', name),
);
const insertName = new Compiled((db, row: Slots<MachineNameTable>) => db.insertInto('machine_name').values(row));

export const machineNameHolder = async (context: RequestContext, db: Db, account: string, name: string): Promise<string | undefined> => {
  authorize(context, 'read');
  return (await nameHolder.row(db, { account, name }))?.machine;
};

export const machinePortHolder = async (context: RequestContext, db: Db, port: Pick<PublishedPort, 'hostPort' | 'protocol'>): Promise<string | undefined> => {
  authorize(context, 'read');
  const { hostPort, protocol } = port;
  return (await db.selectFrom('published_port').select('machine').where('protocol', '=', protocol).where('host_port', '=', hostPort).executeTakeFirst())
    ?.machine;
};

/** A machine may claim a second name while it is being renamed. */
export const machineClaimName = async (context: RequestContext, db: Db, machine: Pick<Machine, 'id' | 'account'>, name: string): Promise<void> => {
  authorize(context, 'write');
  const holder = await machineNameHolder(context, db, machine.account, name);
  if (holder === machine.id) return;
  if (holder !== undefined) {
    const message = `there is already a machine named ${JSON.stringify(name)}`;
    throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
  }
  await insertName.change(db, { account: machine.account, name, machine: machine.id });
};

export const machineClaimPorts = async (context: RequestContext, db: Db, machine: Pick<Machine, 'id'>, ports: readonly PublishedPort[]): Promise<void> => {
  authorize(context, 'write');
  for (const { protocol, hostPort } of ports) {
    const holder = await machinePortHolder(context, db, { protocol, hostPort });
    if (holder === machine.id) continue;
    if (holder !== undefined) {
      const name = (await machineFind(context, db, holder))?.machine.name;
      const message = `host port ${hostPort}/${protocol} is published by ${name === undefined ? "another account's machine" : `machine ${JSON.stringify(name)}`}`;
      throw new CenoteError('in_use', message, { fields: [{ field: 'publish', message }] });
    }
    await db.insertInto('published_port').values({ protocol, host_port: hostPort, machine: machine.id }).execute();
  }
};

/** Names and ports that actions still under way have claimed. */
export interface Claims {
  names: readonly string[];
  ports: readonly PublishedPort[];
}

/** Drops every claim but those of the machine as it is, and those `under way`. */
export const machineSettleClaims = async (context: RequestContext, db: Db, machine: Machine, underWay: Claims = { names: [], ports: [] }): Promise<void> => {
  authorize(context, 'keep');
  await db
    .deleteFrom('machine_name')
    .where('machine', '=', machine.id)
    .where('name', 'not in', [machine.name, ...underWay.names])
    .execute();
  await machineClaimName(context, db, machine, machine.name);
  const held = await db.selectFrom('published_port').select(['protocol', 'host_port']).where('machine', '=', machine.id).execute();
  const wanted = new Set([...machine.publish, ...underWay.ports].map((port) => `${port.protocol}/${port.hostPort}`));
  for (const { protocol, host_port: hostPort } of held) {
    if (wanted.has(`${protocol}/${hostPort}`)) continue;
    await db.deleteFrom('published_port').where('protocol', '=', protocol).where('host_port', '=', hostPort).execute();
  }
  await machineClaimPorts(context, db, machine, machine.publish);
};

/** All claims of some machines, so that those of many can be exchanged between them within one transaction. */
export const machineDropClaims = async (context: RequestContext, db: Db, ids: readonly string[]): Promise<void> => {
  authorize(context, 'keep');
  for (const id of ids) {
    await db.deleteFrom('machine_name').where('machine', '=', id).execute();
    await db.deleteFrom('published_port').where('machine', '=', id).execute();
    await addressRelease(context, db, id);
  }
};

/** Names of machines that use an image or a platform, a few of them. */
export const machineNamesUsing = async (context: RequestContext, db: Db, what: 'image' | 'platform', value: string): Promise<string[]> => {
  authorize(context, 'read');
  return (await db.selectFrom('machine').select('name').where(what, '=', value).orderBy('name').limit(4).execute()).map((row) => row.name);
};
