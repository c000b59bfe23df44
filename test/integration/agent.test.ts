/** The agent through its API, over fakes of the host: what it promises of generations, admission, ends, updates and recovery. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Value } from 'typebox/value';
import { CenoteError } from '../../src/base/errors.ts';
import { plainRoots } from '../../src/host/rootfs/fake.ts';
import type { RootRequest } from '../../src/host/rootfs/rootfs.ts';
import type { MachineStatus } from '../../src/model/machine.ts';
import { PoolStatus } from '../../src/model/pool.ts';
import { defaultResources } from '../../src/model/default-resources.ts';
import { guaranteeKeys } from '../../src/model/resources.ts';
import { agentFixture } from '../support/agent-fixture.ts';
import type { AgentFixture } from '../support/agent-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { fuzzRuns } from '../support/seed.ts';

const until = (agent: AgentFixture, id: string, condition: (status: MachineStatus) => boolean): Promise<MachineStatus> =>
  eventually(() => agent.client.machineGet(id), condition);

test('created, it runs; stopped, nothing of the run is left; deleted, nothing at all', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec();
  const created = await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  assert.equal(created.state, 'running');
  assert.equal(agent.runtime.started(spec.id), true);
  assert.deepEqual(agent.cgroups.applied.get(spec.id), spec.resources);
  const stopped = await agent.client.machineStop(spec.id, { generation: 2 });
  assert.equal(stopped.state, 'stopped');
  assert.equal(stopped.exit?.reason, 'ended by SIGTERM');
  assert.equal(agent.sandboxes.taken.size, 0);
  assert.equal(agent.network.connected.size, 0);
  await agent.client.machineDelete(spec.id, 3);
  assert.deepEqual(await agent.storage.volumeList(), []);
  assert.deepEqual(await agent.client.machineList(), []);
  await agent.client.machineDelete(spec.id, 3); // again is no error
  await assert.rejects(agent.client.machineCreate(spec.id, { generation: 3, spec, desired: 'running' }), { code: 'stale_generation' });
});

test('a generation is taken once: an older one is refused, an equal one answered again', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec();
  const request = { generation: 5, spec, desired: 'running' } as const;
  const [first, second] = await Promise.all([agent.client.machineCreate(spec.id, request), agent.client.machineCreate(spec.id, request)]);
  assert.equal(first.pid, second.pid);
  await assert.rejects(agent.client.machineStop(spec.id, { generation: 4 }), { code: 'stale_generation' });
  const refused = { generation: 6, resources: { ...spec.resources, memoryCeilingMib: 64 } };
  agent.cgroups.usages.set(spec.id, { memoryMib: 100 });
  await assert.rejects(agent.client.machineResize(spec.id, refused), { code: 'not_enough', message: /100M/ });
  agent.cgroups.usages.clear();
  await assert.rejects(agent.client.machineResize(spec.id, refused), { code: 'not_enough' }, 'the outcome is kept');
  const resized = await agent.client.machineResize(spec.id, { ...refused, generation: 7 });
  assert.equal(resized.spec.resources.memoryCeilingMib, 64);
});

test('a snapshot that is not there is neither deleted nor gone back to', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'stopped' });
  await agent.client.snapshotCreate(spec.id, { name: 'one' });
  for (const attempt of [agent.client.snapshotDelete(spec.id, 'two'), agent.client.snapshotRollback(spec.id, 'two', 2)])
    await assert.rejects(attempt, { code: 'not_found', message: /has no snapshot "two"/, advice: /snapshot ls/ });
  await agent.client.snapshotDelete(spec.id, 'one');
  await assert.rejects(agent.client.snapshotDelete(spec.id, 'one'), { code: 'not_found' });
  assert.deepEqual(await agent.client.snapshotList(spec.id), []);
});

test('a snapshot may have any name, also that of what every object has', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'stopped' });
  const names = ['__proto__', 'constructor', 'toString'];
  for (const name of names) {
    await agent.client.snapshotCreate(spec.id, { name });
    await assert.rejects(agent.client.snapshotCreate(spec.id, { name }), { code: 'already_exists' });
  }
  assert.deepEqual((await agent.client.snapshotList(spec.id)).map(({ name }) => name).toSorted(), names.toSorted());
  for (const name of names) await agent.client.snapshotDelete(spec.id, name);
  assert.deepEqual(await agent.client.snapshotList(spec.id), []);
});

test('a resize that is refused changes nothing at all', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  agent.cgroups.usages.set(spec.id, { memoryMib: 500 });
  const resources = { ...spec.resources, diskMib: 4096, memoryCeilingMib: 400 };
  await assert.rejects(agent.client.machineResize(spec.id, { generation: 2, resources }), { code: 'not_enough' });
  assert.deepEqual((await agent.client.machineGet(spec.id)).spec.resources, spec.resources);
  assert.equal((await agent.storage.volumeUsage(spec.id)).quotaMib, spec.resources.diskMib);
  assert.equal((await agent.client.info()).guaranteed.diskMib, spec.resources.diskMib);
});

test('a stubborn one is killed after its grace period', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec({ command: ['stubborn'] });
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  const stopped = await agent.client.machineStop(spec.id, { generation: 2, graceSeconds: 0 });
  assert.equal(stopped.exit?.signal, 'SIGKILL');
  assert.equal(stopped.state, 'stopped');
});

test('a start that fails says which step and why, and leaves no sandbox behind', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec({ command: ['fail:no such file'] });
  await assert.rejects(agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' }), {
    message: /creating the first process: the runtime refused: no such file/,
  });
  const status = await agent.client.machineGet(spec.id);
  assert.equal(status.state, 'failed');
  assert.match(status.error ?? '', /no such file/);
  assert.equal(agent.sandboxes.taken.size, 0);
  assert.equal(agent.network.connected.size + agent.network.prepared.size, 0);
});

test('an update is undone also when its program takes long to begin, and then ends', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  agent.runtime.slow.add(spec.id);
  const updated = agent.client.machineUpdate(spec.id, { generation: 2, spec: { ...spec, command: ['bad'] } });
  updated.catch(() => {}); // heard of below
  await eventually(
    () => agent.runtime.running.get(spec.id)?.args[0],
    (program) => program === 'bad',
  );
  await sleep(2500);
  agent.runtime.slow.delete(spec.id);
  agent.runtime.end(spec.id, 1);
  await assert.rejects(updated, { code: 'failed', message: /the update was undone: it ended at once: exited with code 1/ });
  assert.deepEqual((await agent.client.machineGet(spec.id)).spec.command, spec.command);
});

test('the restart policy: on failure until it gives up, never after success', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec({ restart: { policy: 'on-failure', maxRetries: 1 } });
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  agent.runtime.end(spec.id, 3);
  const again = await until(agent, spec.id, ({ state, restarts }) => state === 'running' && restarts === 1);
  assert.equal(again.exit?.code, 3);
  agent.runtime.end(spec.id, 4);
  const given = await until(agent, spec.id, ({ state }) => state === 'failed');
  assert.equal(given.error, 'exited with code 4');
  await agent.client.machineStart(spec.id, { generation: 2 });
  agent.runtime.end(spec.id, 0);
  assert.equal((await until(agent, spec.id, ({ state }) => state !== 'running')).state, 'stopped');
});

test('out of memory is told as such', async () => {
  await using agent = await agentFixture();
  const spec = agent.spec({ resources: { ...defaultResources, memoryCeilingMib: 64 } });
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  agent.cgroups.usages.set(spec.id, { memoryLimitMib: 64, outOfMemoryKills: 1 });
  agent.runtime.end(spec.id, 137);
  const { exit } = await until(agent, spec.id, ({ state }) => state === 'failed');
  assert.equal(exit?.outOfMemory, true);
  assert.match(exit.reason, /want of memory: it had all of the 64M that it may have/);
});

test('a restart of the agent disturbs nothing that runs, and brings back what should', async () => {
  await using agent = await agentFixture();
  const [running, stopped, ended] = [agent.spec({ name: 'a' }), agent.spec({ name: 'b' }), agent.spec({ name: 'c' })];
  const before = await agent.client.machineCreate(running.id, { generation: 1, spec: running, desired: 'running' });
  await agent.client.machineCreate(stopped.id, { generation: 1, spec: stopped, desired: 'stopped' });
  await agent.client.machineCreate(ended.id, { generation: 1, spec: ended, desired: 'running' });
  await agent.restart();
  assert.equal((await agent.client.machineGet(stopped.id)).state, 'stopped');
  for (const spec of [running, ended]) assert.equal((await agent.client.machineGet(spec.id)).state, 'running');
  assert.equal(before.state, 'running');
  assert.equal((await agent.client.machineCreate(running.id, { generation: 1, spec: running, desired: 'running' })).state, 'running');
});

test('a resize happens wholly or not at all, wherever it fails, and the books say what the host has', async () => {
  const orNull = (min: number, max: number) => fc.option(fc.integer({ min, max }), { nil: null });
  const wish = fc.record({
    resources: fc.record({
      cpuMillis: fc.integer({ min: 1, max: 1500 }),
      memoryMib: fc.integer({ min: 4, max: 3000 }),
      memoryCeilingMib: orNull(3000, 9000),
      diskMib: fc.integer({ min: 16, max: 4000 }),
      networkMbps: fc.integer({ min: 0, max: 600 }),
      networkCeilingMbps: orNull(600, 900),
    }),
    machine: fc.integer({ min: 0, max: 1 }),
    /** Which of the host's steps fails. */
    failAt: orNull(0, 4),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(wish, { minLength: 1, maxLength: 10 }), async (wishes) => {
      const pool = { cpuMillis: 2000, memoryMib: 4096, diskMib: 5000, networkMbps: 1000 };
      await using agent = await agentFixture({ pool });
      let steps = Infinity;
      const failing =
        <Parameters extends unknown[]>(step: (...parameters: Parameters) => Promise<void>) =>
        (...parameters: Parameters): Promise<void> =>
          steps-- === 0 ? Promise.reject(new Error('the kernel said no')) : step(...parameters);
      agent.cgroups.apply = failing(agent.cgroups.apply.bind(agent.cgroups));
      agent.network.limit = failing(agent.network.limit.bind(agent.network));
      agent.network.guarantee = failing(agent.network.guarantee.bind(agent.network));
      agent.storage.volumeResize = failing(agent.storage.volumeResize.bind(agent.storage));
      const specs = ['a', 'b'].map((name) => agent.spec({ name, resources: { ...defaultResources, diskMib: 64 } }));
      for (const spec of specs) await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
      const slots = new Map([...agent.network.connected].map(([slot, { machine }]) => [machine, slot]));
      let generation = 1;
      // Two at a time, so that they compete for what is left.
      for (let at = 0; at < wishes.length; at += 2) {
        const pair = wishes.slice(at, at + 2);
        const before = new Map((await agent.client.machineList()).map(({ id, spec }) => [id, spec.resources]));
        steps = pair[0]!.failAt ?? Infinity;
        const asked = await Promise.all(
          pair.map(async ({ resources, machine }) => {
            const { id } = specs[machine]!;
            const wanted = { ...defaultResources, ...resources };
            return agent.client.machineResize(id, { generation: (generation += 1), resources: wanted }).then(
              () => ({ id, wanted }),
              (error: { code: string }) => {
                assert.match(error.code, /^(not_enough|internal|stale_generation)$/);
                return null;
              },
            );
          }),
        );
        steps = Infinity;
        for (const { id, spec } of await agent.client.machineList()) {
          const wanted = asked.findLast((each) => each?.id === id)?.wanted;
          assert.deepEqual(spec.resources, wanted ?? before.get(id));
          assert.deepEqual(agent.cgroups.applied.get(id), spec.resources);
          assert.equal(agent.network.ceilings.get(slots.get(id)!), spec.resources.networkCeilingMbps);
          assert.equal(agent.network.guarantees.get(slots.get(id)!), spec.resources.networkMbps);
          assert.equal((await agent.storage.volumeUsage(id)).quotaMib, spec.resources.diskMib);
        }
        const { guaranteed } = await agent.client.info();
        const machines = await agent.client.machineList();
        for (const key of guaranteeKeys) {
          assert.equal(
            guaranteed[key],
            machines.reduce((sum, { spec }) => sum + spec.resources[key], 0),
          );
          assert.ok(guaranteed[key] <= pool[key], `${key}: ${guaranteed[key]}`);
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('the pool: what there is, what is promised, and what each machine that runs uses', async () => {
  await using agent = await agentFixture({ pool: { cpuMillis: 1000, memoryMib: 1024, diskMib: 8192, networkMbps: 100 } });
  const running = agent.spec({ name: 'a' });
  const stopped = agent.spec({ name: 'b' });
  await agent.client.machineCreate(running.id, { generation: 1, spec: running, desired: 'running' });
  await agent.client.machineCreate(stopped.id, { generation: 1, spec: stopped, desired: 'stopped' });
  agent.cgroups.usages.set(running.id, { memoryMib: 77, cpuSeconds: 3 });
  const pool = await agent.client.pool();
  assert.ok(Value.Check(PoolStatus, pool), JSON.stringify(Value.Errors(PoolStatus, pool)));
  assert.deepEqual(pool.reserve, { ...pool.reserve, cpuMillis: 100, memoryMib: 512 });
  assert.equal(pool.guaranteed.memoryMib, 2 * defaultResources.memoryMib, 'of those that are stopped too');
  assert.deepEqual(
    pool.machines.map(({ name, usage }) => [name, usage.memoryMib, usage.cpuSeconds]),
    [['a', 77, 3]],
  );
  assert.ok((await agent.client.pool()).clockMs > pool.clockMs);
});

test('what the host cannot honour is refused before anything has changed', async () => {
  await using agent = await agentFixture();
  agent.cgroups.unsupported = [{ field: 'ioReadMibps', reason: 'no disk' }];
  const refused = agent.spec({ resources: { ...defaultResources, ioReadMibps: 5 } });
  const why = { code: 'unsupported', message: 'ioReadMibps: no disk' };
  await assert.rejects(agent.client.machineCreate(refused.id, { generation: 1, spec: refused, desired: 'running' }), why);
  assert.deepEqual(await agent.client.machineList(), []);
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  await assert.rejects(agent.client.machineResize(spec.id, { generation: 2, resources: refused.resources }), why);
  assert.deepEqual((await agent.client.machineGet(spec.id)).spec.resources, defaultResources);
});

test('guarantees never exceed the pool, whatever is asked for in whatever order', async () => {
  const pool = { cpuMillis: 100, memoryMib: 512, diskMib: 2048 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          cpuMillis: fc.integer({ min: 1, max: 60 }),
          memoryMib: fc.integer({ min: 4, max: 300 }),
          diskMib: fc.integer({ min: 16, max: 1200 }),
          resize: fc.boolean(),
        }),
        {
          minLength: 1,
          maxLength: 8,
        },
      ),
      async (wishes) => {
        await using agent = await agentFixture({ pool });
        let generation = 1;
        let last: string | null = null;
        for (const { resize, ...wish } of wishes) {
          const resources = { ...defaultResources, ...wish };
          const spec = agent.spec({ resources });
          generation += 1;
          const asked: Promise<MachineStatus> =
            resize && last !== null
              ? agent.client.machineResize(last, { generation, resources })
              : agent.client.machineCreate(spec.id, { generation, spec, desired: 'stopped' });
          const done: MachineStatus | null = await asked.catch((error: { code: string }) => {
            assert.equal(error.code, 'not_enough');
            return null;
          });
          last = done?.id ?? last;
          const { guaranteed } = await agent.client.info();
          const sum = (await agent.client.machineList()).reduce((total, { spec: { resources: own } }) => total + own.memoryMib, 0);
          assert.equal(guaranteed.memoryMib, sum);
          for (const kind of ['cpuMillis', 'memoryMib', 'diskMib'] as const) assert.ok(guaranteed[kind] <= pool[kind], `${kind}: ${guaranteed[kind]}`);
        }
      },
    ),
    { numRuns: fuzzRuns ?? 15 },
  );
});

test('out of uid ranges is said, and a freed one serves again', async () => {
  await using fixture = await agentFixture({ uidRanges: 2 });
  const { client } = fixture;
  const specs = ['one', 'two', 'three'].map((name) => fixture.spec({ name }));
  const create = (spec: (typeof specs)[number]) => client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  for (const spec of specs.slice(0, 2)) assert.equal((await create(spec)).state, 'running');
  await assert.rejects(create(specs[2]!), { code: 'not_enough', message: /^taking a sandbox: all 2 uid ranges of this instance are in use$/ });
  assert.equal((await client.machineGet(specs[2]!.id)).state, 'failed');
  await client.machineDelete(specs[0]!.id, 2);
  assert.equal((await client.machineStart(specs[2]!.id, { generation: 2 })).state, 'running');
});

test('what failed for a moment’s reason is done when it is asked for again', async (t) => {
  await using agent = await agentFixture();
  const { mount } = plainRoots;
  let failures = 2;
  t.mock.method(plainRoots, 'mount', async (request: RootRequest) => {
    failures -= 1;
    if (failures >= 0) throw new CenoteError('unavailable', 'the namespace maker ended');
    return mount(request);
  });
  const spec = agent.spec();
  const create = () => agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  for (let attempt = 0; attempt < 2; attempt += 1) await assert.rejects(create(), { code: 'unavailable' });
  assert.equal((await create()).state, 'running');
  failures = 1;
  await agent.client.machineStop(spec.id, { generation: 2 });
  const start = () => agent.client.machineStart(spec.id, { generation: 3 });
  await assert.rejects(start(), { code: 'unavailable' });
  assert.equal((await start()).state, 'running');
});
