import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { databases } from '../../../test/support/databases.ts';
import { defaultResources } from '../../model/default-resources.ts';
import { systemContext as system } from '../context.ts';
import { eventAppend, eventLast, eventList } from '../event.ts';
import { jobGet, jobInsert } from '../job.ts';
import { metaSet } from '../meta.ts';
import { packageCreate, packageDelete, packageGet, packageList } from '../package.ts';
import { Store } from '../store.ts';
import { backupCreate, backupRestore } from './backup.ts';
import { sealed } from './format.ts';
import type { Rows } from './format.ts';

const job = (id: string) => ({
  job: {
    id,
    account: 'default',
    action: 'stop',
    machine: 'm',
    actor: 'me',
    caller: null,
    state: 'queued' as const,
    createdAt: '2026-01-01T00:00:00.000Z',
    finishedAt: null,
    reason: null,
    result: {},
  },
  generation: 1,
  request: {},
});

const happening = (subject: string) => ({ account: null, at: '2026-01-01T00:00:00.000Z', type: 'x', subject, message: 'naïve "text"', detail: {} });

const fill = (store: Store): Promise<void> =>
  store.transaction(async (db) => {
    await packageCreate(system, db, { name: 'own', resources: defaultResources, createdAt: '2026-01-01' });
    await packageDelete(system, db, 'tiny');
    await metaSet(system, db, 'agent.sequence', '7');
    for (let count = 0; count < 450; count += 1) await eventAppend(system, db, [happening(`s${count}`)]);
    await jobInsert(system, db, job('old'), { owner: 'a', until: '2026' });
  });

const rowsOf = async (store: Store): Promise<Map<string, string[]>> => {
  const rows = new Map<string, string[]>();
  for await (const { table, rows: batch } of store.dump()) rows.set(table, [...(rows.get(table) ?? []), ...batch.map((row) => JSON.stringify(row))]);
  return new Map([...rows].map(([table, list]) => [table, list.toSorted((one, other) => (one < other ? -1 : 1))]));
};

const copyOf = (store: Store): Promise<Buffer> => buffer(backupCreate(system, store));
const back = (store: Store, copy: Buffer) => backupRestore(system, store, Readable.from([copy]));

for (const from of databases) {
  for (const to of databases) {
    test(`a copy of ${from.name} is put back into ${to.name}`, { skip: from.skip || to.skip }, async () => {
      await from.with(async (source) => {
        await using original = await Store.open(source);
        await fill(original);
        const copy = await copyOf(original);
        const before = await rowsOf(original);
        await original.transaction((db) => packageDelete(system, db, 'own'));
        await to.with(async (target) => {
          {
            await using other = await Store.open(target);
            await other.transaction(async (db) => {
              await packageCreate(system, db, { name: 'theirs', resources: defaultResources, createdAt: '' });
              for (let count = 0; count < 500; count += 1) await eventAppend(system, db, [happening('later')]);
            });
            const restored = await back(other, copy);
            assert.deepEqual([restored.dropped, restored.rows > 450], [1, true]);
            await assert.rejects(
              other.transaction(async () => 1),
              { code: 'unavailable' },
              'this process knows what was before',
            );
          }
          await using other = await Store.open(target);
          const after = await rowsOf(other);
          for (const table of before.keys()) if (table !== 'job') assert.deepEqual(after.get(table), before.get(table), table);
          await assert.rejects(packageGet(system, other.db, 'theirs'), { code: 'not_found' });
          await assert.rejects(packageGet(system, other.db, 'tiny'), { code: 'not_found' }, 'what was deleted does not come back by a migration');
          const stopped = await jobGet(system, other.db, 'old');
          assert.equal(stopped.state, 'failed');
          assert.match(stopped.reason!, /not taken up: the store was put back from the copy of 2/);
          assert.equal(await eventLast(system, other.db), 450);
          await other.transaction((db) => eventAppend(system, db, [happening('next')]));
          assert.equal((await eventList(system, other.db, 450, 10))[0]!.sequence, 501, 'numbers that were used are not used again');
        });
      });
    });
  }
}

for (const kind of databases) {
  test(`${kind.name}: a copy that is not whole changes nothing`, { skip: kind.skip }, () =>
    kind.with(async (location) => {
      await using store = await Store.open(location);
      await fill(store);
      const copy = await copyOf(store);
      const lines = gunzipSync(copy).toString('utf8').split('\n');
      const before = await rowsOf(store);
      const changed = (edit: (all: string[]) => string[]) => gzipSync(edit([...lines]).join('\n'));
      const broken: [string, Buffer, RegExp][] = [
        ['nothing', Buffer.alloc(0), /not a copy|damaged/],
        ['text', Buffer.from('hello'), /not compressed with gzip/],
        ['other lines', gzipSync('{"a":1}\n{"b":2}\n'), /not a copy of a store/],
        ['cut', copy.subarray(0, copy.length / 2), /damaged|ends before/],
        ['without its end', changed((all) => all.slice(0, -2)), /ends before its end/],
        ['a row changed', changed((all) => all.map((line) => line.replace('naïve', 'naive'))), /was changed/],
        ['a batch left out', changed((all) => all.toSpliced(2, 1)), /was changed/],
        ['something after it', changed((all) => [...all.slice(0, -1), '{}']), /after the end/],
        ['of a later version', changed((all) => [all[0]!.replace(store.schema, '9999-later'), ...all.slice(1)]), /later version/],
      ];
      for (const [name, bytes, message] of broken) await assert.rejects(back(store, bytes), message, name);
      assert.deepEqual(await rowsOf(store), before);
      await store.transaction((db) => metaSet(system, db, 'agent.sequence', '8'));
    }),
  );

  test(`${kind.name}: a copy of the first schema is brought up to date`, { skip: kind.skip }, () =>
    kind.with(async (location) => {
      await using store = await Store.open(location);
      const resources = { cpuMillis: 100, cpuCeilingMillis: null, memoryMib: 64, memoryCeilingMib: 128, diskMib: 256, processes: 99 };
      const rows = async function* (): AsyncGenerator<Rows> {
        yield { table: 'account', rows: [{ id: 'default', name: 'default', created_at: '' }] };
        yield { table: 'package', rows: [{ name: 'large', resources: JSON.stringify(resources), created_at: '2026-01-01' }] };
      };
      const text = await Array.fromAsync(sealed({ cenoteBackup: 1, createdAt: '2026-01-01T00:00:00.000Z', schema: '0001-first' }, rows()));
      await back(store, gzipSync(text.join('')));
      assert.equal((await packageGet(system, store.db, 'large')).version, 1);
      assert.ok((await packageList(system, store.db, true)).length > 1, 'with the catalogue that came later');
    }),
  );
}

test('a copy is of one moment, however long it takes', { skip: databases[1]!.skip }, async () => {
  for (const kind of databases)
    await kind.with(async (location) => {
      await using store = await Store.open(location);
      await fill(store);
      const rows = store.dump();
      const first = await rows.next();
      await store.transaction((db) => eventAppend(system, db, [happening('meanwhile')]));
      let events = 0;
      for (let at = first; !at.done; at = await rows.next()) if (at.value.table === 'event') events += at.value.rows.length;
      assert.equal(events, 450, kind.name);
    });
});
