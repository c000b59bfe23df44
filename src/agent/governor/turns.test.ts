/** An agent that is ended while it has its turn back must end: nobody may govern in it any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { createLogger } from '../../base/logger.ts';
import { within } from '../../base/within.ts';
import type { Governor } from './governor.ts';
import { governInTurns } from './turns.ts';

interface Governing extends AsyncDisposable {
  readonly over: Promise<'stopped' | 'lost'>;
  lose(): void;
}

/** What `governInTurns` knows of a governor and of a turn. */
const makeWorld = () => {
  const governors: Governing[] = [];
  let living = 0;
  const regained = Promise.withResolvers<void>();
  const begin = (): Governor => {
    const over = Promise.withResolvers<'stopped' | 'lost'>();
    living += 1;
    let ended = false;
    const end = (why: 'stopped' | 'lost'): void => {
      if (!ended) living -= 1;
      ended = true;
      over.resolve(why);
    };
    const governor = { over: over.promise, lose: () => end('lost'), [Symbol.asyncDispose]: async () => end('stopped') };
    governors.push(governor);
    return governor as unknown as Governor;
  };
  const turn = { regain: () => regained.promise };
  const governing = governInTurns(turn, begin, createLogger({ name: 'test', level: 'fatal' }));
  return { governors, governing, regained, living: () => living };
};

type World = ReturnType<typeof makeWorld>;

const turns = async (count: number): Promise<void> => {
  for (let index = 0; index < count; index += 1) await eventLoopTurn();
};

for (const [when, act] of [
  ['at once', async () => {}],
  ['as it has lost its turn', async ({ governors }) => governors[0]!.lose()],
  [
    'while it waits for it',
    async ({ governors }) => {
      governors[0]!.lose();
      await turns(3);
    },
  ],
  [
    'when it has it back',
    async ({ governors, regained }) => {
      governors[0]!.lose();
      await turns(3);
      regained.resolve();
      await turns(3);
    },
  ],
] as readonly [string, (world: World) => Promise<void>][])
  test(`an agent that is ended ${when} ends, and nobody governs in it`, async () => {
    const made = makeWorld();
    await act(made);
    const ended = (async () => {
      await made.governing[Symbol.asyncDispose]();
      return 'ended';
    })();
    await turns(3);
    made.regained.resolve();
    assert.equal(await within(ended, 1000), 'ended');
    assert.equal(made.living(), 0);
  });

test('one that has its turn back governs from the start', async () => {
  const made = makeWorld();
  made.governors[0]!.lose();
  made.regained.resolve();
  await turns(3);
  assert.deepEqual([made.governors.length, made.living()], [2, 1]);
  await made.governing[Symbol.asyncDispose]();
  assert.equal(made.living(), 0);
});
