import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { awaitTurn, isAgentThere, takeTurn } from './turn.ts';

const temporary = (context: TestContext): string => {
  const directory = mkdtempSync(`${tmpdir()}/turn-`);
  context.after(() => rmSync(directory, { recursive: true }));
  return directory;
};
const inTime = () => assert.fail('the stand-in did not let go');

test('the stand-in has its turn when the agent ends, and the next agent when the stand-in lets go', async (context) => {
  const directory = temporary(context);
  const agent = await takeTurn(directory, inTime);
  assert.equal(isAgentThere(directory), true);
  const waiting = awaitTurn(directory);
  await sleep(20);
  agent[Symbol.dispose]();
  const turn = await waiting;
  assert.ok(turn !== null && !isAgentThere(directory));
  let governs = false;
  const next = takeTurn(directory, inTime).then((held) => {
    governs = true;
    return held;
  });
  while (!isAgentThere(directory)) await sleep(1);
  await sleep(40);
  assert.equal(governs, false);
  turn[Symbol.dispose]();
  using _next = await next;
});

test('an agent does not wait for ever for one that stands still', async (context) => {
  const directory = temporary(context);
  using _standsStill = (await awaitTurn(directory))!;
  let isLate = false;
  using _agent = await takeTurn(directory, () => (isLate = true), 50);
  assert.equal(isLate, true);
});

test('two never govern at once, however often agents come and go and stand-ins are two', async (context) => {
  const directory = temporary(context);
  let governing = 0;
  let isOver = false;
  const turns = { agent: 0, standIn: 0 };
  const govern = async (who: keyof typeof turns, until: () => boolean) => {
    governing += 1;
    turns[who] += 1;
    do {
      assert.equal(governing, 1);
      await sleep(1);
    } while (!until());
    governing -= 1;
  };
  const standIn = async () => {
    while (!isOver) {
      using turn = await awaitTurn(directory);
      if (turn !== null) await govern('standIn', () => isOver || isAgentThere(directory));
    }
  };
  const standIns = [standIn(), standIn()];
  for (let life = 0; life < 20; life += 1) {
    const end = performance.now() + (life % 4) * 5;
    using _turn = await takeTurn(directory, inTime);
    await govern('agent', () => performance.now() > end);
  }
  isOver = true;
  await Promise.all(standIns);
  assert.equal(turns.agent, 20);
});
