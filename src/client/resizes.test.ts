/** Whoever asks has an answer of its own, whatever becomes of the request that many share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CenoteError } from '../base/errors.ts';
import { defaultResources } from '../model/default-resources.ts';
import type { MachineResize, ResizeOutcome } from '../model/agent-api.ts';
import type { MachineStatus } from '../model/machine.ts';
import { Resizes } from './resizes.ts';

const asked = (id: string): MachineResize => ({ id, generation: 1, resources: defaultResources });
const done = (index: number, id: string): ResizeOutcome => ({ index, status: { id } as MachineStatus });

/** What each came to: its machine's id, or the code of its error. */
const outcomes = async (promises: readonly Promise<MachineStatus>[]): Promise<string[]> =>
  (await Promise.allSettled(promises)).map((one) => (one.status === 'fulfilled' ? one.value.id : (one.reason as CenoteError).code));

const agent = (answer: (asked: readonly MachineResize[]) => AsyncIterable<readonly ResizeOutcome[]>) => {
  const requests: string[][] = [];
  const resizes = new Resizes((many) => {
    requests.push(many.map(({ id }) => id));
    return answer(many);
  });
  return { requests, resizes };
};

test('those of one turn are one request; each is answered by its place, in whatever order', async () => {
  const { requests, resizes } = agent(async function* (many) {
    yield [done(1, many[1]!.id), { index: 2, error: new CenoteError('not_enough', 'no').toBody() }];
    yield [done(0, many[0]!.id)];
  });
  const first = ['a', 'b', 'c'].map((id) => resizes.ask(asked(id), undefined));
  assert.deepEqual(await outcomes(first), ['a', 'b', 'not_enough']);
  await resizes.ask(asked('d'), undefined).catch(() => undefined);
  assert.deepEqual(requests, [['a', 'b', 'c'], ['d']]);
});

test('one is answered before a slower one', async () => {
  const slow = Promise.withResolvers<void>();
  const { resizes } = agent(async function* () {
    yield [done(1, 'quick')];
    await slow.promise;
    yield [done(0, 'slow')];
  });
  const [last, first] = [resizes.ask(asked('slow'), undefined), resizes.ask(asked('quick'), undefined)];
  assert.equal((await first).id, 'quick');
  slow.resolve();
  assert.equal((await last).id, 'slow');
});

test('an answer that ends, or breaks, before all is told: what was told stands, and the others may be asked for again', async () => {
  for (const error of [null, new CenoteError('unavailable', 'gone'), new Error('what is this?')]) {
    const { resizes } = agent(async function* () {
      yield [done(0, 'a')];
      if (error !== null) throw error;
    });
    const code = error instanceof CenoteError || error === null ? 'unavailable' : 'internal';
    assert.deepEqual(await outcomes(['a', 'b'].map((id) => resizes.ask(asked(id), undefined))), ['a', code]);
  }
});

test('one that is refused for what it is takes no other with it', async () => {
  const { requests, resizes } = agent(async function* (many) {
    if (many.some(({ id }) => id === 'wrong')) throw new CenoteError('invalid_argument', 'no such field');
    yield many.map(({ id }, index) => done(index, id));
  });
  assert.deepEqual(await outcomes(['a', 'wrong', 'b'].map((id) => resizes.ask(asked(id), undefined))), ['a', 'invalid_argument', 'b']);
  assert.deepEqual(requests, [['a', 'wrong', 'b'], ['a'], ['wrong'], ['b']]);
});

test('those that other signals end are other requests', async () => {
  const signals = [new AbortController().signal, new AbortController().signal];
  const given: unknown[] = [];
  const resizes = new Resizes(async function* (many, signal) {
    given.push(signal);
    yield many.map(({ id }, index) => done(index, id));
  });
  await Promise.all(signals.map((signal, index) => resizes.ask(asked(String(index)), signal)));
  assert.deepEqual(given, signals);
});
