/**
 * What is set aside for machines, kept added up beside their rows: whether the pool has what one more asks for must not cost more with each that
 * there is. Only store/machine.ts writes it, in the transaction that writes the row.
 */
import type { Guarantees } from '../model/resources.ts';
import { authorize } from './context.ts';
import type { RequestContext } from './context.ts';
import { Compiled } from './dialect/compiled.ts';
import type { Slots } from './dialect/compiled.ts';
import type { SetAsideTable } from './schema.ts';
import type { Db } from './store.ts';

export interface SetAside extends Guarantees {
  machines: number;
}

/** Holder of what all machines have, of whatever account; no account has such an id. */
const everybody = '*';
const nothing: SetAside = { machines: 0, cpuMillis: 0, memoryMib: 0, diskMib: 0, networkMbps: 0 };

const ofHolders = new Compiled((db, { account, all }: Slots<{ account: string; all: string }>) =>
  db
    .selectFrom('set_aside')
    .selectAll()
    .where((eb) => eb.or([eb('holder', '=', account), eb('holder', '=', all)])),
);

/** What the machines of one account have, and what all machines have. */
export const setAsideFor = async (context: RequestContext, db: Db, account: string): Promise<{ inAccount: SetAside; inAll: SetAside }> => {
  authorize(context, 'read');
  const rows = await ofHolders.rows(db, { account, all: everybody });
  const of = (holder: string): SetAside => {
    const row = rows.find((one) => one.holder === holder);
    if (row === undefined) return nothing;
    const { machines, cpu_millis: cpuMillis, memory_mib: memoryMib, disk_mib: diskMib, network_mbps: networkMbps } = row;
    return { machines, cpuMillis, memoryMib, diskMib, networkMbps };
  };
  return { inAccount: of(account), inAll: of(everybody) };
};

const columns = ['machines', 'cpu_millis', 'memory_mib', 'disk_mib', 'network_mbps'] as const;
const addToBoth = new Compiled((db, { account, ...row }: Slots<Omit<SetAsideTable, 'holder'> & { account: string }>) =>
  db
    .insertInto('set_aside')
    .values([
      { holder: account, ...row },
      { holder: everybody, ...row },
    ])
    .onConflict((conflict) =>
      conflict
        .column('holder')
        .doUpdateSet((eb) => Object.fromEntries(columns.map((column) => [column, eb(`set_aside.${column}`, '+', eb.ref(`excluded.${column}`))]))),
    ),
);

/** So many machines of an account more, or less, and so much for them. */
export const setAsideAdd = async (context: RequestContext, db: Db, account: string, machines: number, more: Guarantees): Promise<void> => {
  authorize(context, 'write');
  const { cpuMillis, memoryMib, diskMib, networkMbps } = more;
  await addToBoth.change(db, { account, machines, cpu_millis: cpuMillis, memory_mib: memoryMib, disk_mib: diskMib, network_mbps: networkMbps });
};
