/** What is kept of who may do what is never older than this process's own writes, and never much older than another's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { accountCreate, accountDelete } from '../../../store/account.ts';
import { systemContext as system } from '../../../store/context.ts';
import type { RequestContext } from '../../../store/context.ts';
import { keyAdd, keyDelete } from '../../../store/key.ts';
import { roleSave, roleTagReplace } from '../../../store/role.ts';
import { Store } from '../../../store/store.ts';
import { openEngine } from '../../../store/dialect/open.ts';
import { databases } from '../../../../test/support/databases.ts';
import { readKey } from '../../app/account.ts';
import { AccessBook } from './book.ts';

const keyId = '/alice/keys/laptop';
const named = { account: 'alice', user: undefined, kind: 'ssh', key: 'laptop' } as const;
const within: RequestContext = { ...system, account: 'a' };

const withAlice = async (database: string, work: (store: Store, book: AccessBook, pass: (milliseconds: number) => void) => Promise<void>): Promise<void> => {
  await using store = await Store.open(database);
  let now = 0;
  const key = readKey('key', { name: 'laptop', key: sshpk.generatePrivateKey('ecdsa').toPublic().toString('ssh') });
  await store.transaction(async (db) => {
    await accountCreate(system, db, { id: 'a', name: 'alice', profile: {}, quota: {}, namesEnabled: true, createdAt: '', updatedAt: '', disabledAt: null });
    await keyAdd(system, db, 'a', key);
  });
  await work(store, new AccessBook(store, () => now), (milliseconds) => (now += milliseconds));
};

const prove = async (book: AccessBook): Promise<void> => {
  const { found, proved } = await book.findCredential(keyId, named);
  assert.ok(found?.by.kind === 'ssh' && found.by.key.name === 'laptop');
  proved();
  assert.equal(book.knownCredential(keyId), found);
};

for (const { name, skip, with: withDatabase } of databases) {
  test(`${name}: a key that this process takes away is not known any more`, { skip }, () =>
    withDatabase((database) =>
      withAlice(database, async (store, book) => {
        assert.equal(book.knownCredential(keyId), undefined, 'not before it has proved itself');
        await prove(book);
        // What has nothing to do with it leaves it known; what is taken back does no harm.
        await store.transaction((db) => db.updateTable('meta').set({ value: '1' }).where('key', '=', 'nothing').execute());
        assert.notEqual(book.knownCredential(keyId), undefined);
        await assert.rejects(
          store.transaction(async (db) => {
            await keyDelete(system, db, 'a', 'laptop');
            throw new Error('refused');
          }),
        );
        await prove(book);
        await store.transaction((db) => keyDelete(system, db, 'a', 'laptop'));
        assert.equal(book.knownCredential(keyId), undefined);
        assert.equal((await book.findCredential(keyId, named)).found, undefined);
      }),
    ),
  );

  test(`${name}: with the account its keys are not known any more`, { skip }, () =>
    withDatabase((database) =>
      withAlice(database, async (store, book) => {
        await prove(book);
        await store.transaction((db) => accountDelete(system, db, 'a'));
        assert.equal(book.knownCredential(keyId), undefined);
      }),
    ),
  );

  test(`${name}: what was read while it was written is not kept`, { skip }, () =>
    withDatabase((database) =>
      withAlice(database, async (store, book) => {
        const { proved } = await book.findCredential(keyId, named);
        await store.transaction((db) => keyDelete(system, db, 'a', 'laptop'));
        proved();
        assert.equal(book.knownCredential(keyId), undefined);
      }),
    ),
  );

  test(`${name}: the first tag of an account, and its last`, { skip }, () =>
    withDatabase((database) =>
      withAlice(database, async (store, book) => {
        const names = async () => (await book.rolesFor(within, 'machines')).map((role) => role.name);
        assert.deepEqual(await names(), []);
        await store.transaction(async (db) => {
          await roleSave(within, db, { id: 'r', account: 'a', name: 'reader', createdAt: '', policies: [], members: [] });
          await roleTagReplace(within, db, 'machines', ['r']);
        });
        assert.deepEqual([await names(), await book.resourcesFor(within, ['r'])], [['reader'], ['machines']]);
        await store.transaction((db) => roleTagReplace(within, db, 'machines', []));
        assert.deepEqual([await names(), await book.resourcesFor(within, ['r'])], [[], []]);
      }),
    ),
  );

  test(`${name}: what another writes is believed after ten seconds`, { skip }, () =>
    withDatabase((database) =>
      withAlice(database, async (_store, book, pass) => {
        await prove(book);
        await using other = openEngine(database);
        // Its reader cannot write, and its writer has the store for itself.
        const { reader, writer } = other;
        if (name === 'sqlite') await writer.deleteFrom('account_key').execute();
        else
          await reader
            .transaction()
            .setAccessMode('read write')
            .execute((db) => db.deleteFrom('account_key').execute());
        assert.notEqual(book.knownCredential(keyId), undefined);
        pass(10_001);
        assert.equal(book.knownCredential(keyId), undefined);
      }),
    ),
  );
}
