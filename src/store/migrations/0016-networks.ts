/**
 * Networks of accounts' own, and addresses in a table: an address is a place in its network, with whoever has it. The one network there was
 * becomes a row like others. `machine.address`, which had a machine's place in it, is not used from here on (SQLite cannot drop it).
 */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { externalNetwork } from '../../model/nics.ts';
import { parseSubnet } from '../../model/subnet.ts';

interface Tables {
  machine: { id: string; address: number | null };
  network: Record<string, string | number | null>;
  address: { network: string; place: number; machine: string | null; uplink_of: string | null; reserved: number };
}

const up = async (untyped: Kysely<unknown>): Promise<void> => {
  const db = untyped as Kysely<Tables>;
  await db.schema
    .createTable('vlan')
    .addColumn('account', 'text', (column) => column.notNull().references('account.id').onDelete('cascade'))
    .addColumn('id', 'integer', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('vlan_key', ['account', 'id'])
    .addUniqueConstraint('vlan_name', ['account', 'name'])
    .execute();

  const former = await db.selectFrom('network').selectAll().execute();
  await db.schema.dropTable('network').execute();
  await db.schema
    .createTable('network')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account', 'text', (column) => column.references('account.id').onDelete('cascade'))
    .addColumn('vlan', 'integer')
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text', (column) => column.notNull())
    .addColumn('subnet', 'text', (column) => column.notNull())
    .addColumn('gateway', 'text')
    .addColumn('range_first', 'integer', (column) => column.notNull())
    .addColumn('range_last', 'integer', (column) => column.notNull())
    .addColumn('resolvers', 'text', (column) => column.notNull())
    .addColumn('internet_nat', 'integer', (column) => column.notNull())
    .addColumn('mtu', 'integer', (column) => column.notNull())
    .addColumn('uplink', 'text')
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('network_name', ['account', 'name'])
    .execute();
  await db.schema.createIndex('network_by_vlan').on('network').columns(['account', 'vlan']).execute();

  await db.schema
    .createTable('address')
    .addColumn('network', 'text', (column) => column.notNull().references('network.id').onDelete('cascade'))
    .addColumn('place', 'integer', (column) => column.notNull())
    .addColumn('machine', 'text', (column) => column.references('machine.id').onDelete('cascade'))
    .addColumn('uplink_of', 'text', (column) => column.references('network.id').onDelete('cascade'))
    .addColumn('reserved', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('address_key', ['network', 'place'])
    .execute();
  await db.schema.createIndex('address_by_machine').on('address').column('machine').execute();
  await db.schema.createIndex('address_by_uplink').on('address').column('uplink_of').execute();

  await db.schema.alterTable('account').addColumn('default_network', 'text').execute();

  for (const { subnet, gateway } of former) {
    const { size } = parseSubnet('subnet', String(subnet));
    await db
      .insertInto('network')
      .values({
        id: externalNetwork,
        name: 'default',
        description: '',
        subnet: String(subnet),
        gateway: String(gateway),
        range_first: 1,
        range_last: size - 2,
        resolvers: '[]',
        internet_nat: 1,
        mtu: 1500,
        version: 1,
        created_at: new Date().toISOString(),
      })
      .execute();
    const held = await db.selectFrom('machine').select(['id', 'address']).where('address', 'is not', null).execute();
    for (const { id, address } of held)
      await db.insertInto('address').values({ network: externalNetwork, place: address!, machine: id, uplink_of: null, reserved: 0 }).execute();
    await db.updateTable('machine').set({ address: null }).execute();
  }
};

export const networks: Migration = { up };
