/** A control plane that serves CloudAPI, with two accounts and a plain signing client of each. */
import sshpk from 'sshpk';
import { controlFixture, eventually } from './control-fixture.ts';
import type { ControlFixture } from './control-fixture.ts';
import { SignedClient } from './signed-client.ts';
import type { Reply } from './signed-client.ts';

export interface CloudApiFixture extends AsyncDisposable {
  fixture: ControlFixture;
  url: string;
  keys: { alice: sshpk.PrivateKey; bob: sshpk.PrivateKey };
  alice: SignedClient;
  bob: SignedClient;
}

export const cloudapi = { address: '127.0.0.1', port: 0, datacenter: 'here' } as const;

export const cloudApiFixture = async (change: Parameters<typeof controlFixture>[0] = {}): Promise<CloudApiFixture> => {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.use(await controlFixture({ cloudapi, ...change }));
  const url = (await fixture.client.info()).cloudapi!;
  const keys = { alice: sshpk.generatePrivateKey('ecdsa'), bob: sshpk.generatePrivateKey('ecdsa') };
  for (const name of ['alice', 'bob'] as const) {
    await fixture.client.accountCreate({ name, keys: [{ name: 'first', key: keys[name].toPublic().toString('ssh') }] });
  }
  const moved = stack.move();
  return {
    fixture,
    url,
    keys,
    alice: new SignedClient(url, 'alice', keys.alice),
    bob: new SignedClient(url, 'bob', keys.bob),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
};

/** A machine of an account, made and running. */
export const makeMachine = async (client: SignedClient, name: string): Promise<string> => {
  const made = await client.send('POST', '/my/machines', { json: { name, image: '11111111-1111-4111-8111-111111111111', package: 'tiny' } });
  if (made.status !== 201) throw new Error(made.text);
  const { id } = made.body as { id: string };
  await becomes(client, id, 'running');
  return id;
};

export const becomes = (client: SignedClient, id: string, state: string): Promise<Reply> =>
  eventually(
    () => client.send('GET', `/my/machines/${id}`),
    ({ body }) => (body as { state?: string }).state === state,
  );
