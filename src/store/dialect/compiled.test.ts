/** A query with slots says the same as one that is put together anew, on every database and for any values. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { databases } from '../../../test/support/databases.ts';
import { systemContext as system } from '../context.ts';
import { accountEnsure } from '../account.ts';
import type { MetaTable } from '../schema.ts';
import { Store } from '../store.ts';
import { Compiled } from './compiled.ts';
import type { Slots } from './compiled.ts';

const insert = new Compiled((db, row: Slots<MetaTable>) => db.insertInto('meta').values(row));
const above = new Compiled((db, { least, most }: Slots<{ least: string; most: number }>) =>
  db.selectFrom('meta').selectAll().where('key', '>=', least).where('key', 'like', 'test.%').orderBy('key').limit(most),
);
const move = new Compiled((db, { key, value }: Slots<MetaTable>) => db.updateTable('meta').set({ value }).where('key', '=', key).where('value', '!=', value));
const disable = new Compiled((db, { id, at }: Slots<{ id: string; at: string | null }>) =>
  db.updateTable('account').set({ disabled_at: at }).where('id', '=', id),
);

for (const { name, skip, with: withDatabase } of databases) {
  test(`${name}: values go into their slots, others each time`, { skip }, () =>
    withDatabase(async (database) => {
      await using store = await Store.open(database);
      await store.transaction(async (db) => {
        for (const key of ['test.c', 'test.a', 'test.b']) assert.equal(await insert.change(db, { value: `'of ${key}'`, key }), 1n);
      });
      const rows = await above.rows(store.db, { least: 'test.b', most: 5 });
      assert.deepEqual(
        rows.map(({ key, value }) => ({ key, value })),
        [
          { key: 'test.b', value: "'of test.b'" },
          { key: 'test.c', value: "'of test.c'" },
        ],
      );
      assert.equal((await above.row(store.db, { most: 1, least: 'test.' }))?.key, 'test.a');
      assert.equal(await above.row(store.db, { least: 'test.d', most: 1 }), undefined);
      await store.transaction(async (db) => {
        assert.equal(await move.change(db, { key: 'test.a', value: 'moved' }), 1n);
        assert.equal(await move.change(db, { key: 'test.a', value: 'moved' }), 0n);
        // A transaction sees what it has written, and others do not yet.
        assert.equal((await above.row(db, { least: 'test.a', most: 1 }))?.value, 'moved');
        assert.equal((await above.row(store.db, { least: 'test.a', most: 1 }))?.value, "'of test.a'");
      });
    }),
  );

  test(`${name}: what is taken back with its transaction was not written`, { skip }, () =>
    withDatabase(async (database) => {
      await using store = await Store.open(database);
      const failed = store.transaction(async (db) => {
        await insert.change(db, { key: 'test.a', value: '1' });
        await insert.change(db, { key: 'test.a', value: '2' });
      });
      await assert.rejects(failed, /unique/i);
      assert.deepEqual(await above.rows(store.db, { least: '', most: 9 }), []);
      // The connection to read from cannot write, whatever the query's form.
      await assert.rejects(insert.change(store.db, { key: 'test.a', value: '1' }));
    }),
  );

  test(`${name}: whoever keeps what is read of accounts is told that one was written`, { skip }, () =>
    withDatabase(async (database) => {
      await using store = await Store.open(database);
      await store.transaction((db) => accountEnsure(system, db, 'a'));
      for (const at of ['2026-01-01T00:00:00.000Z', null]) {
        const before = store.accessVersion;
        assert.equal(await store.transaction((db) => disable.change(db, { id: 'a', at })), 1n);
        assert.notEqual(store.accessVersion, before);
      }
    }),
  );
}
