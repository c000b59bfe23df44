import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentTurn, StandInTurns, isAgentThere } from './turn.ts';
import type { StandInTurn, TurnPlace } from './turn.ts';

const temporary = (context: TestContext): TurnPlace => {
  const directory = mkdtempSync(`${tmpdir()}/turn-`);
  context.after(() => rmSync(directory, { recursive: true }));
  return { directory, runDirectory: directory };
};
const inTime = () => assert.fail('the stand-in did not let go');

test('the stand-in has its turn when the agent ends, and the next agent when the stand-in lets go', async (context) => {
  const place = temporary(context);
  const agent = await AgentTurn.take(place, inTime);
  assert.equal(isAgentThere(place), true);
  const waiting = (await StandInTurns.alone(place)).next();
  await sleep(20);
  agent[Symbol.dispose]();
  const turn = await waiting;
  assert.ok(turn !== null && turn.beside === null && !turn.isAsked());
  let governs = false;
  const next = AgentTurn.take(place, inTime).then((held) => {
    governs = true;
    return held;
  });
  while (!turn.isAsked()) await sleep(1);
  await sleep(40);
  assert.equal(governs, false);
  turn[Symbol.dispose]();
  using _next = await next;
});

test('an agent that gives no sign loses its turn, and has it back when it is alive again', async (context) => {
  const place = temporary(context);
  using agent = await AgentTurn.take(place, inTime);
  assert.equal(agent.keep(), true);
  const standIn = await StandInTurns.alone(place);
  for (let round = 0; round < 2; round += 1) {
    const turn = (await standIn.next())!;
    assert.equal(turn.beside?.pid, process.pid);
    assert.equal(turn.isAsked(), false);
    assert.equal(agent.keep(), false);
    assert.equal(turn.isAsked(), true);
    let isBack = false;
    const regaining = agent.regain(inTime).then(() => (isBack = true));
    await sleep(40);
    assert.equal(isBack, false);
    turn[Symbol.dispose]();
    await regaining;
    assert.equal(agent.keep(), true);
  }
});

test('one that gives signs keeps its turn, and so does one whose file of signs was removed', async (context) => {
  const place = temporary(context);
  const agent = await AgentTurn.take(place, inTime);
  let taken: StandInTurn | null = null;
  const waiting = (await StandInTurns.alone(place)).next().then((turn) => (taken = turn));
  for (let signs = 0; signs < 20; signs += 1) {
    assert.equal(agent.keep(), true);
    await sleep(90);
  }
  rmSync(`${place.runDirectory}/agent-alive`);
  await sleep(1000);
  assert.equal(taken, null);
  assert.equal(agent.keep(), true);
  agent[Symbol.dispose]();
  using _turn = await waiting;
});

test('a stand-in that stands still loses its turn to the agent', async (context) => {
  const place = temporary(context);
  using standsStill = (await (await StandInTurns.alone(place)).next())!;
  let isLate = false;
  using agent = await AgentTurn.take(place, () => (isLate = true), 50);
  assert.equal(isLate, true);
  assert.equal(standsStill.isAsked(), true);
  assert.equal(agent.keep(), true);
});

test('two never govern at once, however often agents come, stand still and go', async (context) => {
  const place = temporary(context);
  let governing = 0;
  let isOver = false;
  const turns = { agent: 0, standIn: 0, beside: 0 };
  const govern = async (until: () => boolean) => {
    governing += 1;
    do {
      assert.equal(governing, 1);
      await sleep(1);
    } while (!until());
    governing -= 1;
  };
  const standIn = (async () => {
    const all = await StandInTurns.alone(place);
    while (!isOver) {
      using turn = await all.next();
      if (turn === null) continue;
      turns[turn.beside === null ? 'standIn' : 'beside'] += 1;
      await govern(() => isOver || turn.isAsked());
    }
  })();
  for (let life = 0; life < 6; life += 1) {
    using turn = await AgentTurn.take(place, inTime);
    for (let round = 0; round < 2; round += 1) {
      turns.agent += 1;
      const end = performance.now() + (life % 4) * 5;
      await govern(() => !turn.keep() || performance.now() > end);
      // It stands still for about as long as it takes to lose the turn by it.
      await sleep(life % 3 === 0 ? 720 + life * 60 : 20);
      if (!turn.keep()) await turn.regain(inTime);
    }
  }
  isOver = true;
  await standIn;
  assert.equal(turns.agent, 12);
  assert.ok(turns.beside > 0);
});
