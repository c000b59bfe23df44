import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { databases } from '../../test/support/databases.ts';
import type { Machine } from '../model/control-api.ts';
import type { MachineSpec } from '../model/machine.ts';
import { guaranteeKeys, noGuarantees } from '../model/resources.ts';
import type { Guarantees } from '../model/resources.ts';
import { accountDelete, accountEnsure } from './account.ts';
import { systemContext } from './context.ts';
import { machineGet, machineInsert, machineRemove, machineSave } from './machine.ts';
import type { StoredMachine } from './machine.ts';
import { setAsideFor } from './set-aside.ts';
import { Store } from './store.ts';

const accounts = ['default', 'other'];

interface Step {
  what: 'insert' | 'save' | 'remove';
  which: number;
  account: number;
  reserved: Guarantees;
  /** The transaction fails after it. */
  undone: boolean;
}

const number = fc.nat(1_000_000);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    what: fc.constantFrom('insert', 'save', 'remove'),
    which: fc.nat(),
    account: fc.nat(1),
    reserved: fc.record({ cpuMillis: number, memoryMib: number, diskMib: number, networkMbps: number }),
    undone: fc.boolean(),
  }),
  { maxLength: 40 },
);

const newStored = (account: string, reserved: Guarantees): StoredMachine => {
  const id = randomUUID();
  const texts = { id, account, name: id, state: 'running', desired: 'running', createdAt: '', image: { id: 'i' }, platform: null, package: null };
  const machine = { ...texts, generation: 1, publish: [], tags: {} } as unknown as Machine;
  return { machine, spec: { id } as unknown as MachineSpec, reserved, held: { ...noGuarantees }, addresses: 1 };
};

const sumOf = (all: Iterable<Guarantees>) => {
  const sum = { machines: 0, ...noGuarantees };
  for (const one of all) {
    sum.machines += 1;
    for (const key of guaranteeKeys) sum[key] += one[key];
  }
  return sum;
};

for (const database of databases) {
  test(`${database.name}: what is set aside is always the sum of what the machines have`, { skip: database.skip }, () =>
    database.with(async (location) => {
      await using store = await Store.open(location);
      await store.transaction((db) => accountEnsure(systemContext, db, 'other'));
      const there = new Map<string, { account: string; reserved: Guarantees }>();

      const take = async ({ what, which, account, reserved, undone }: Step): Promise<void> => {
        const id = what === 'insert' ? undefined : [...there.keys()][which % Math.max(1, there.size)];
        if (what !== 'insert' && id === undefined) return;
        const work = store.transaction(async (db) => {
          const stored = id === undefined ? newStored(accounts[account]!, reserved) : await machineGet(systemContext, db, id);
          stored.reserved = reserved;
          if (what === 'insert') await machineInsert(systemContext, db, stored);
          // Twice is as once: an action may save the same machine again.
          else if (what === 'save') for (const _ of [1, 2]) await machineSave(systemContext, db, stored);
          else await machineRemove(systemContext, db, stored.machine.id);
          if (undone) throw new Error('undone');
          return stored.machine;
        });
        if (undone) return assert.rejects(work, /undone/);
        const machine = await work;
        if (what === 'remove') there.delete(machine.id);
        else there.set(machine.id, { account: machine.account, reserved });
      };

      const run = async (all: Step[]): Promise<void> => {
        for (const step of all) await take(step);
        const having = (account: string) => [...there.values()].filter((one) => one.account === account).map(({ reserved }) => reserved);
        const inAll = sumOf(accounts.flatMap(having));
        for (const account of accounts)
          assert.deepEqual(await setAsideFor(systemContext, store.db, account), { inAccount: sumOf(having(account)), inAll }, account);
      };
      await fc.assert(fc.asyncProperty(steps, run), { numRuns: 20 });

      for (const [id, { account }] of there) if (account === 'other') await store.transaction((db) => machineRemove(systemContext, db, id));
      await store.transaction((db) => accountDelete(systemContext, db, 'other'));
      const holders = await store.db.selectFrom('set_aside').select('holder').orderBy('holder').execute();
      assert.deepEqual(
        holders.map(({ holder }) => holder).filter((holder) => holder !== 'default'),
        ['*'],
      );
    }),
  );
}
