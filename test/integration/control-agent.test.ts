/** The tie to the agent: away, failing, slow, and a store that is not what the host has. */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { controlFixture, eventually } from '../support/control-fixture.ts';
import { random } from '../support/random.ts';
import { seed } from '../support/seed.ts';
import { statusOf } from '../support/simulated-content.ts';

test('without an agent reads of the store work, the rest says so', async () => {
  await using fixture = await controlFixture({ agentAway: true });
  const { client, agent } = fixture;
  assert.deepEqual(await client.machineList(), []);
  assert.equal((await client.info()).agent, null);
  await assert.rejects(client.machineCreate({ name: 'x' }), { code: 'unavailable' });
  await assert.rejects(client.imageList(), { code: 'unavailable' });
  await agent.start();
  await eventually(
    () => client.machineCreate({ name: 'x' }, { wait: 10 }).then(({ job }) => job.state, String),
    (state) => state === 'succeeded',
  );
});

test('an action waits for an agent that is away, says so, and goes on when it is back', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.machineCreate({ name: 'web' }, { wait: 10 });
  await agent.stop();
  const { job } = await client.machineStop('web');
  const waits = await eventually(
    () => client.machineGet('web'),
    ({ error }) => error !== null,
  );
  assert.match(waits.error!, /^stop waits: the host's agent does not answer/);
  assert.equal(waits.state, 'running');
  assert.equal(waits.desired, 'stopped');
  assert.match((await client.jobGet(job.id)).reason!, /does not answer/);
  await assert.rejects(client.machineUsage('web'), { code: 'unavailable' });
  const made = await client.machineCreate({ name: 'later' });
  assert.equal(made.machine!.state, 'provisioning');
  await agent.start();
  const done = await client.jobGet(job.id, { wait: 20 });
  assert.equal(done.state, 'succeeded');
  assert.equal(done.reason, null);
  const stopped = await client.machineGet('web');
  assert.equal(stopped.state, 'stopped');
  assert.equal(stopped.error, null);
  assert.equal((await client.jobGet(made.job.id, { wait: 20 })).state, 'succeeded');
});

test('an action gives up at its deadline with the reason', async () => {
  await using fixture = await controlFixture({ agentDeadlineMs: 300 });
  const { client, agent } = fixture;
  await client.machineCreate({ name: 'web' }, { wait: 10 });
  await agent.stop();
  const stopped = await client.machineStop('web', {}, { wait: 20 });
  assert.equal(stopped.job.state, 'failed');
  assert.match(stopped.job.reason!, /does not answer/);
  assert.equal(stopped.machine!.state, 'running');
  const made = await client.machineCreate({ name: 'never' }, { wait: 20 });
  assert.equal(made.machine!.state, 'failed');
  const gone = await client.machineDelete('web', { wait: 20 });
  assert.equal(gone.machine!.state, 'failed');
  await agent.start();
  await eventually(
    () => client.machineGet('web'),
    ({ state, desired }) => state === 'running' && desired === 'running',
  );
  await client.machineDelete('web', { wait: 10 });
  await client.machineDelete('never', { wait: 10 });
  assert.deepEqual(await client.machineList(), []);
});

test('what the agent says has taken too long is the outcome, and is not asked for again', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  agent.fault = ({ method }) => (method === 'PUT' ? { kind: 'refuse', code: 'timeout', message: 'the runtime did not answer within 30 s' } : undefined);
  const made = await client.machineCreate({ name: 'web' }, { wait: 20 });
  assert.equal(made.job.state, 'failed');
  assert.match(made.job.reason!, /the runtime did not answer within 30 s/);
  agent.fault = () => undefined;
  await client.machineDelete('web', { wait: 20 });
  assert.deepEqual(await client.machineList(), []);
});

test('a lost answer is asked for again and acts once', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  for (const when of ['before', 'after'] as const) {
    let drops = 2;
    agent.fault = ({ method }) => {
      if (method === 'GET' || drops === 0) return undefined;
      drops -= 1;
      return { kind: 'drop', when };
    };
    const made = await client.machineCreate({ name: `made-${when}` }, { wait: 20 });
    assert.equal(made.job.state, 'succeeded', made.job.reason ?? '');
    drops = 2;
    const resized = await client.machineResize(`made-${when}`, { resources: { diskMib: 77 } }, { wait: 20 });
    assert.equal(resized.job.state, 'succeeded', resized.job.reason ?? '');
    assert.equal(resized.machine!.resources.diskMib, 77);
    drops = 2;
    const snapshot = await client.snapshotCreate(`made-${when}`, { name: 'one' }, { wait: 20 });
    assert.equal(snapshot.job.state, 'succeeded', snapshot.job.reason ?? '');
    assert.equal(snapshot.job.result['name'], 'one');
    drops = 2;
    assert.equal((await client.snapshotDelete(`made-${when}`, 'one', { wait: 20 })).job.state, 'succeeded');
    drops = 2;
    assert.equal((await client.machineDelete(`made-${when}`, { wait: 20 })).job.state, 'succeeded');
  }
  assert.deepEqual(agent.doubled, []);
  for (const type of ['machine.created', 'machine.resized']) assert.equal(agent.events.filter((event) => event.type === type).length, 2, type);
});

test('actions of one machine that are accepted together are each done to what the one before has made of it', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  await Promise.all(['a', 'b'].map((name) => client.machineCreate({ name }, { wait: 10 })));
  const asked = ['a', 'b'].flatMap((name) => [
    client.machineResize(name, { resources: { cpuMillis: 33 } }, { wait: 10 }),
    client.machineUpdate(name, { tags: { colour: 'red' } }, { wait: 10 }),
    client.machineResize(name, { resources: { processes: 44 } }, { wait: 10 }),
    client.machineResize(name, { resources: { diskMib: 55 } }, { wait: 10 }),
  ]);
  for (const { job } of await Promise.all(asked)) assert.equal(job.state, 'succeeded', job.reason ?? '');
  for (const name of ['a', 'b']) {
    const { resources, tags } = await client.machineGet(name);
    assert.deepEqual([resources.cpuMillis, resources.processes, resources.diskMib, tags], [33, 44, 55, { colour: 'red' }]);
  }
});

test('slow actions hold up neither other machines nor the order on their own', async () => {
  await using fixture = await controlFixture({ atOnce: 2 });
  const { client, agent } = fixture;
  await Promise.all(['a', 'b', 'c', 'd'].map((name) => client.machineCreate({ name }, { wait: 10 })));
  const { promise, resolve: goOn } = Promise.withResolvers<void>();
  agent.fault = ({ path }) => (path.endsWith('/stop') ? { kind: 'delay', until: promise } : undefined);
  const stops = await Promise.all(['a', 'b', 'c', 'd'].map((name) => client.machineStop(name)));
  const starts = await client.machineStart('a');
  assert.equal((await client.machineCreate({ name: 'quick' }, { wait: 10 })).job.state, 'succeeded');
  assert.ok((await client.jobGet(stops[0]!.job.id)).finishedAt === null);
  goOn();
  await client.jobGet(starts.job.id, { wait: 10 });
  assert.equal((await client.machineGet('a')).state, 'running');
  const order = agent.calls.filter(({ path }) => path.includes(stops[0]!.machine!.id)).map(({ path }) => path.split('/')[4]);
  assert.ok(order.lastIndexOf('stop') < order.indexOf('start'));
});

test('what only changes a machine does not wait for those that are being made', async () => {
  await using fixture = await controlFixture({ atOnce: 2 });
  const { client, agent } = fixture;
  await client.machineCreate({ name: 'a' }, { wait: 10 });
  agent.fault = ({ method }) => (method === 'PUT' ? { kind: 'silence' } : undefined);
  await Promise.all(['b', 'c', 'd'].map((name) => client.machineCreate({ name })));
  const { job } = await client.machineResize('a', { resources: { memoryCeilingMib: 512 } }, { wait: 10 });
  assert.equal(job.state, 'succeeded', job.reason ?? '');
  assert.equal((await client.machineRename('a', 'renamed', { wait: 10 })).job.state, 'succeeded');
});

test('a machine takes a bounded number of actions at once', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  await client.machineCreate({ name: 'a' }, { wait: 10 });
  agent.fault = ({ path }) => (path.endsWith('/stop') ? { kind: 'silence' } : undefined);
  await Promise.all(Array.from({ length: 100 }, () => client.machineStop('a')));
  await assert.rejects(client.machineStop('a'), { code: 'too_busy' });
});

test('a store restored from an old copy takes over what the host has, and loses nothing', async () => {
  await using fixture = await controlFixture();
  const { client, agent, options } = fixture;
  const kept = (await client.machineCreate({ name: 'kept' }, { wait: 10 })).machine!;
  const gone = (await client.machineCreate({ name: 'reused', publish: [{ hostPort: 80, machinePort: 80, protocol: 'tcp' }] }, { wait: 10 })).machine!;
  await fixture.stopControl();
  await cp(options.database, `${options.database}.old`);
  await fixture.restart();
  await client.machineStop('kept', {}, { wait: 10 });
  await client.machineRename('kept', 'renamed', { wait: 10 });
  await client.machineDelete('reused', { wait: 10 });
  const reused = (await client.machineCreate({ name: 'reused', publish: [{ hostPort: 80, machinePort: 80, protocol: 'tcp' }] }, { wait: 10 })).machine!;
  assert.equal(reused.address, gone.address);
  await fixture.stopControl();
  await cp(`${options.database}.old`, options.database);
  await fixture.restart();

  const list = await client.machineList();
  assert.deepEqual(list.map(({ name }) => name).toSorted(), ['renamed', 'reused', `reused-${gone.id.slice(0, 8)}`].toSorted());
  assert.equal((await client.machineGet('renamed')).state, 'stopped');
  assert.equal((await client.machineGet('reused')).id, reused.id);
  const lost = await client.machineGet(gone.id);
  assert.equal(lost.state, 'failed');
  assert.match(lost.error!, /does not know/);
  assert.deepEqual(lost.publish, []);
  // The next action continues from the host's generation.
  assert.equal((await client.machineStart('renamed', { wait: 10 })).job.state, 'succeeded');
  assert.equal(agent.machines.get(kept.id)!.status.generation, 4);
  assert.equal((await client.machineStart(gone.id, { wait: 10 })).job.state, 'failed');
  await client.machineDelete(gone.id, { wait: 10 });
  // The deleted one's row no longer held the address, so it was not given back.
  assert.notEqual((await client.machineCreate({ name: 'new' }, { wait: 10 })).machine!.address, reused.address);
  assert.deepEqual(agent.doubled, []);
});

test('a machine that appears on or leaves the host while the tie is cut', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const one = (await client.machineCreate({ name: 'one', tags: { a: 'b' } }, { wait: 10 })).machine!;
  const { spec } = agent.machines.get(one.id)!.status;
  await agent.stop();
  agent.machines.delete(one.id);
  const id = '33333333-3333-4333-8333-333333333333';
  agent.machines.set(id, { status: statusOf({ ...spec, id, name: 'found', address: '10.77.0.9', account: 'elsewhere' }, 7, 'running'), snapshots: new Map() });
  const other = '44444444-4444-4444-8444-444444444444';
  agent.machines.set(other, { status: statusOf({ ...spec, id: other, name: 'mine', address: '10.77.0.10' }, 7, 'running'), snapshots: new Map() });
  await agent.start();
  await eventually(
    () => client.machineGet('one'),
    ({ state }) => state === 'failed',
  );
  const [mine] = await eventually(
    () => client.machineList({ name: 'mine' }),
    (list) => list.length === 1,
  );
  assert.equal(mine!.generation, 7);
  assert.deepEqual(
    (await client.machineList({ tags: { a: 'b' } })).map(({ name }) => name),
    ['mine', 'one'],
  );
  await assert.rejects(client.machineGet('found'), { code: 'not_found' });
  assert.equal((await client.machineStop('mine', {}, { wait: 10 })).job.state, 'succeeded');
});

test('a burst of creates all succeed, whatever the order of their ends', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const next = random(seed);
  agent.fault = ({ method }) => (method === 'PUT' ? { kind: 'delay', until: sleep(next(20)) } : undefined);
  const made = await Promise.all(Array.from({ length: 1000 }, (_, index) => client.machineCreate({ name: `burst-${index}` }, { wait: 120 })));
  assert.deepEqual(new Set(made.map(({ job }) => job.state)), new Set(['succeeded']));
  assert.equal(new Set(made.map(({ machine }) => machine!.address)).size, 1000);
  assert.equal((await client.machineList({ state: 'running' })).length, 1000);
  assert.deepEqual(agent.doubled, []);
});
