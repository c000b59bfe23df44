/** Machines show the floating addresses that lead to them; those that were attached before are told here. */
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { addressAt, parseDestination } from '../../model/subnet.ts';

interface Tables {
  machine: { id: string; body: string };
  network: { id: string; name: string; subnet: string };
  address: { network: string; place: number; floats_to: string | null };
}

const up = async (untyped: Kysely<unknown>): Promise<void> => {
  const db = untyped as Kysely<Tables>;
  const rows = await db
    .selectFrom('address')
    .innerJoin('network', 'network.id', 'address.network')
    .innerJoin('machine', 'machine.id', 'address.floats_to')
    .select(['machine.id', 'machine.body', 'network.subnet', 'address.place'])
    .orderBy('network.name')
    .orderBy('address.place')
    .execute();
  for (const [id, leading] of Map.groupBy(rows, (row) => row.id)) {
    const floating = leading.map(({ subnet, place }) => addressAt(parseDestination('subnet', subnet), Number(place)));
    const body = JSON.stringify({ ...(JSON.parse(leading[0]!.body) as object), floating });
    await db.updateTable('machine').set({ body }).where('id', '=', id).execute();
  }
};

export const floatingShown: Migration = { up };
