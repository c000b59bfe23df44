/** The control plane killed at each step of the making of an account's image: it is made once, or said to have failed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sshpk from 'sshpk';
import { makeMachine } from '../support/cloudapi-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { ended, inWorld, kill, startChild } from '../support/crash-world.ts';
import type { World } from '../support/crash-world.ts';
import { databases } from '../support/databases.ts';
import { SignedClient } from '../support/signed-client.ts';

interface Shown {
  name: string;
  version: string;
  state: string;
  error?: { message: string };
}

const key = sshpk.generatePrivateKey('ecdsa');

/** Each control plane has another port. */
const aliceOf = async ({ client }: World): Promise<SignedClient> => new SignedClient((await client.info()).cloudapi!, 'alice', key);

const withAlice = async ({ client }: World): Promise<void> => {
  await client.accountCreate({ name: 'alice', keys: [{ name: 'first', key: key.toPublic().toString('ssh') }] });
};

const shown = async (alice: SignedClient): Promise<Shown | undefined> =>
  ((await alice.send('GET', '/my/images?state=all')).body as Shown[]).find(({ name }) => name === 'site');

for (const database of databases) {
  const { skip } = database;
  for (const step of ['accepted', 'begin', 'answered', 'recorded']) {
    test(`${database.name}: killed at image.create:${step}`, { skip }, () =>
      inWorld(database, async (world) => {
        const { agent } = world;
        const doomed = await startChild(world, `image.create:${step}`);
        await withAlice(world);
        const machine = await makeMachine(await aliceOf(world), 'web');
        await (await aliceOf(world)).send('POST', '/my/images', { json: { machine, name: 'site', version: '1.0' } }).catch(() => undefined);
        await ended(doomed);
        await startChild(world);
        const alice = await aliceOf(world);
        await eventually(
          () => shown(alice),
          (image) => image?.state === 'active',
        );
        assert.equal([...agent.images.values()].filter(({ name }) => name.startsWith('i-')).length, 1);
        const audit = await eventually(
          async () => (await alice.send('GET', `/my/machines/${machine}/audit`)).body as { action: string; success: string }[],
          (entries) => entries.length === 2,
        );
        assert.deepEqual(
          audit.map(({ action, success }) => `${action} ${success}`),
          ['create_image yes', 'provision yes'],
        );
      }),
    );
  }

  test(`${database.name}: killed while an image is sent`, { skip }, () =>
    inWorld(database, async (world) => {
      const { agent } = world;
      const child = await startChild(world);
      await withAlice(world);
      agent.fault = ({ method, path }) => (method === 'POST' && path === '/v1/images' ? { kind: 'silence' } : undefined);
      const request = encodeURIComponent(JSON.stringify({ name: 'site' }));
      const alice = await aliceOf(world);
      const cut = assert.rejects(alice.send('POST', `/v1/images?request=${request}`, { raw: { type: 'application/x-tar', text: 'x'.repeat(1024) } }));
      await eventually(() => agent.calls.some(({ method, path }) => method === 'POST' && path === '/v1/images'), Boolean);
      await kill(child);
      await cut;
      agent.fault = () => undefined;
      await startChild(world);
      const image = await shown(await aliceOf(world));
      assert.deepEqual([image?.state, /control plane ended/.test(image?.error?.message ?? '')], ['failed', true]);
    }),
  );
}

test('an image that the host refuses has failed, and says why', () =>
  inWorld(databases[0]!, async (world) => {
    await startChild(world);
    await withAlice(world);
    const alice = await aliceOf(world);
    const machine = await makeMachine(alice, 'web');
    world.agent.fault = ({ method, path }) =>
      method === 'POST' && path === '/v1/images' ? { kind: 'refuse', code: 'not_enough', message: 'the pool is full' } : undefined;
    const made = await alice.send('POST', '/my/images', { json: { machine, name: 'site', version: '1.0' } });
    assert.equal((made.body as Shown).state, 'creating');
    const image = await eventually(
      () => shown(alice),
      (one) => one?.state !== 'creating',
    );
    assert.deepEqual([image?.state, image?.error?.message], ['failed', 'the pool is full']);
  }));
