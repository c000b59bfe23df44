/** A control plane that serves CloudAPI on a simulated host, and a person with `triton` who has an account. */
import { controlFixture } from './control-fixture.ts';
import type { ControlFixture } from './control-fixture.ts';
import { person } from './triton.ts';
import type { KeyKind, Person } from './triton.ts';

export interface TritonWorld extends AsyncDisposable {
  fixture: ControlFixture;
  alice: Person;
}

export const tritonWorld = async (kind: KeyKind = 'rsa', address = '127.0.0.1'): Promise<TritonWorld> => {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.use(await controlFixture({ cloudapi: { address, port: 0, datacenter: 'here' } }));
  const { cloudapi } = await fixture.client.info();
  const alice = stack.use(await person('alice', cloudapi!, kind));
  await fixture.client.accountCreate({ name: 'alice', keys: [{ key: alice.publicKey }] });
  const moved = stack.move();
  return { fixture, alice, [Symbol.asyncDispose]: () => moved.disposeAsync() };
};
