/** Images that accounts make, by `triton`: made, shared, used, and seen by nobody else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tritonWorld } from '../support/triton-world.ts';
import { person } from '../support/triton.ts';

interface Shown {
  id: string;
  name: string;
  version: string;
  state: string;
  public: boolean;
  description?: string;
  tags: Record<string, unknown>;
  acl?: string[];
}

test('an image made of an instance, and who has it', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice, fixture } = here;
  await using bob = await person('bob', alice.url, 'ed25519');
  const { id: bobId } = await fixture.client.accountCreate({ name: 'bob', keys: [{ key: bob.publicKey }] });
  await alice.must('instance', 'create', '-w', '-n', 'source', 'base', 'tiny');
  await alice.must('image', 'create', '-w', '-d', 'the site', '-t', 'tier=front', 'source', 'site', '1.2.3');
  const get = (name = 'site') => alice.json<Shown>('image', 'get', name);
  const image = await get();
  assert.deepEqual(
    [image.version, image.state, image.public, image.description, image.tags, image.acl],
    ['1.2.3', 'active', false, 'the site', { tier: 'front' }, []],
  );
  assert.match((await alice.triton('image', 'create', 'source', 'site', '1.2.3')).stderr, /already an image site@1.2.3/);
  await alice.must('image', 'tag', 'site', 'colour=blue');
  assert.deepEqual((await get()).tags, { colour: 'blue' });
  await alice.must('image', 'update', 'site', 'description=another');
  assert.equal((await get()).description, 'another');

  const seen = async () => (await bob.lines<Shown>('image', 'ls', '-j')).some(({ id }) => id === image.id);
  assert.equal(await seen(), false);
  assert.equal((await bob.triton('image', 'get', image.id)).code, 3);
  await alice.must('image', 'share', 'site', bobId);
  assert.equal(await seen(), true);
  assert.equal((await bob.json<Shown>('image', 'get', image.id)).acl, undefined);
  assert.match((await bob.triton('instance', 'create', '-n', 'mine', image.id, 'tiny')).stderr, /allow_shared_images/);
  await bob.must('instance', 'create', '-w', '--allow-shared-images', '-n', 'mine', image.id, 'tiny');
  assert.notEqual((await bob.triton('image', 'delete', '-f', image.id)).code, 0);
  assert.match((await alice.triton('image', 'delete', '-f', 'site')).stderr, /there are instances made of this image/);
  await bob.must('image', 'clone', image.id);
  const [clone] = (await bob.lines<Shown>('image', 'ls', '-j')).filter(({ id, name }) => name === 'site' && id !== image.id);
  assert.deepEqual([clone!.version, clone!.description, clone!.tags, clone!.acl], ['1.2.3', 'another', { colour: 'blue' }, []]);
  assert.match((await bob.triton('image', 'clone', image.id)).stderr, /already an image site@1.2.3/);
  await alice.must('image', 'unshare', 'site', bobId);
  assert.equal(await seen(), false);
  await bob.must('instance', 'create', '-w', '-n', 'of-clone', clone!.id, 'tiny');
  await bob.must('instance', 'delete', '-f', '-w', 'of-clone');
  await bob.must('image', 'delete', '-f', clone!.id);
  await bob.must('instance', 'delete', '-f', '-w', 'mine');
  await alice.must('image', 'delete', '-f', 'site');
  assert.equal((await alice.triton('image', 'get', image.id)).code, 3);
  for (const words of [
    ['image', 'clone', 'base'], // it is everybody's
    ['image', 'export', 'base', '/x'],
  ])
    assert.notEqual((await alice.triton(...words)).code, 0);
});
