/** What befalls the database: away in the middle of work, full, taken by another. Machines are untouched, answers are clear, and it recovers by itself. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { CenoteError } from '../../src/base/errors.ts';
import { run } from '../../src/exec/run.ts';
import { systemContext as system } from '../../src/store/context.ts';
import { metaGet, metaSet } from '../../src/store/meta.ts';
import { Store } from '../../src/store/store.ts';
import { cloudapi, cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';
import { sharedPostgres } from '../support/databases.ts';
import { postgresSkip } from '../support/postgres.ts';
import { random } from '../support/random.ts';
import { seed } from '../support/seed.ts';

const skip = postgresSkip();
const notRoot = process.getuid?.() === 0 ? false : 'needs root, to mount a small file system';

test('PostgreSQL ends in the middle of work, twice: clear refusals, nothing half done, and on it goes', { skip }, async () => {
  const server = await sharedPostgres();
  await using fixture = await controlFixture({ database: await server.create() });
  const { client, agent } = fixture;
  await client.machineCreate({ name: 'old' }, { wait: 20 });
  const next = random(seed);
  const refused = new Map<string, CenoteError>();
  const acknowledged = new Set<string>();
  let stopping = false;
  const worker = async (lane: number): Promise<void> => {
    for (let turn = 0; !stopping; turn += 1) {
      const name = `m-${lane}-${turn}`;
      try {
        await client.machineCreate({ name });
        acknowledged.add(name);
        if (turn % 3 === 0) await client.machineStop(name);
        if (turn % 3 === 1) await client.machineDelete(name);
        if (turn % 3 === 1) acknowledged.delete(name);
      } catch (error) {
        assert.ok(error instanceof CenoteError);
        refused.set(error.code, error);
        if (turn % 3 === 1) acknowledged.delete(name);
        await sleep(5);
      }
    }
  };
  const lanes = Array.from({ length: 6 }, (_, lane) => worker(lane));
  for (const signal of ['SIGQUIT', 'SIGINT'] as const) {
    await sleep(300 + next(300));
    await server.stop(signal);
    await assert.rejects(client.machineGet('old'), { code: 'unavailable', message: 'the store cannot be used: its database is away' });
    await assert.rejects(client.machineStop('old'), { code: 'unavailable' });
    assert.equal([...agent.machines.values()].find(({ status }) => status.spec.name === 'old')!.status.state, 'running');
    await server.resume();
    await eventually(
      () => client.machineGet('old').catch(() => undefined),
      (machine) => machine?.state === 'running',
      20_000,
    );
  }
  await sleep(200);
  stopping = true;
  await Promise.all(lanes);
  assert.deepEqual(
    [...refused.keys()].filter((code) => code !== 'unavailable'),
    [],
    String([...refused.values()].at(-1)),
  );

  const machines = await eventually(
    () => client.machineList({ limit: 1000 }),
    (list) => list.every(({ state, desired }) => state === desired),
    30_000,
  );
  for (const { id } of machines) {
    // The host may have told of a machine before its job's end could be recorded: that is tried again some seconds later.
    const jobs = await eventually(
      () => client.machineJobs(id),
      (all) => all.every(({ finishedAt }) => finishedAt !== null),
      30_000,
    );
    assert.deepEqual(
      jobs.filter(({ state }) => state !== 'succeeded'),
      [],
    );
    assert.equal(jobs.length, agent.machines.get(id)!.status.generation, 'every job made one generation, none is doubled');
  }
  assert.deepEqual([...agent.machines.keys()].toSorted(), machines.map(({ id }) => id).toSorted());
  const names = new Set(machines.map(({ name }) => name));
  assert.deepEqual(
    [...acknowledged].filter((name) => !names.has(name)),
    [],
    'acknowledged and lost',
  );
  assert.equal(names.size, machines.length);
  assert.equal(new Set(machines.map(({ address }) => address)).size, machines.length);
  assert.deepEqual(agent.doubled, []);
});

test('PostgreSQL is away when the control plane starts: whoever comes is told, and it serves once it is back', { skip }, async () => {
  const server = await sharedPostgres();
  await using here = await cloudApiFixture({ database: await server.create() });
  const { fixture, alice, url } = here;
  const { client } = fixture;
  const machine = await makeMachine(alice, 'web');
  await fixture.stopControl();
  await server.stop();
  const starting = fixture.restart({ cloudapi: { ...cloudapi, port: Number(new URL(url).port) } });
  const told = { code: 'unavailable', message: 'the store cannot be used: its database is away' };
  await eventually(
    () => client.machineList().catch((error: CenoteError) => error.message),
    (message) => message === told.message,
  );
  await assert.rejects(client.machineStop('web'), told);
  for (let again = 0; again < 3; again += 1) {
    const reply = await alice.send('GET', '/my/machines');
    const message = 'the datacenter cannot do this at the moment; try again';
    assert.deepEqual([reply.status, reply.body, Number(reply.headers['retry-after']) > 0], [503, { code: 'ServiceUnavailable', message }, true]);
    const ours = await alice.send('POST', '/v1/machines', { json: { name: 'x' } });
    assert.deepEqual([ours.status, (ours.body as { code: string }).code, /database|store/.test(ours.text)], [503, 'unavailable', false]);
  }
  const socket = new WebSocket(`${url.replace('http', 'ws')}/my/changefeed`);
  const [error] = (await once(socket, 'error')) as [Error];
  assert.match(error.message, /503/);
  assert.equal(fixture.agent.machines.get(machine)!.status.state, 'running');
  await server.resume();
  await starting;
  assert.equal((await client.machineList()).length, 0);
  assert.equal(((await alice.send('GET', `/my/machines/${machine}`)).body as { state: string }).state, 'running');
});

test('a database belongs to one control plane at a time', { skip }, async () => {
  const server = await sharedPostgres();
  const location = await server.create();
  const first = await Store.open(location);
  await assert.rejects(Store.open(location), (error: CenoteError) => {
    assert.equal(error.code, 'unavailable');
    assert.match(error.message, /another control plane has it \(cenote \d+ at this host, since 2/);
    return true;
  });
  await first[Symbol.asyncDispose]();
  await using _second = await Store.open(location);
});

test('one who has lost its hold to another writes no more', { skip }, async () => {
  const server = await sharedPostgres();
  const location = await server.create();
  await using first = await Store.open(location);
  await server.query('postgres', `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'`);
  await using second = await Store.open(location);
  await assert.rejects(
    first.transaction((db) => metaSet(system, db, 'agent.sequence', 'lost')),
    { code: 'unavailable' },
  );
  await second.transaction((db) => metaSet(system, db, 'agent.sequence', 'kept'));
  assert.equal(await metaGet(system, first.db, 'agent.sequence'), 'kept');
});

test('text that PostgreSQL cannot hold is no fault of ours', { skip }, async () => {
  const server = await sharedPostgres();
  await using fixture = await controlFixture({ database: await server.create() });
  await assert.rejects(fixture.client.machineGet('a\0b'), { code: 'invalid_argument', message: 'a text has a NUL character' });
});

test('what is written outside of a transaction is refused', { skip }, async () => {
  const server = await sharedPostgres();
  await using store = await Store.open(await server.create());
  await assert.rejects(metaSet(system, store.db, 'agent.sequence', '1'), /read-only/);
});

test("the disk of PostgreSQL's is full: that is said, and it works again when there is room", { skip: skip || notRoot }, async (context) => {
  const server = await sharedPostgres();
  const directory = await smallDisk(context, 24);
  await server.query('postgres', `create tablespace small location '${directory}'`);
  context.after(async () => {
    await server.query('postgres', 'drop database small');
    await server.query('postgres', 'drop tablespace small');
  });
  await server.query('postgres', 'create database small tablespace small');
  await using store = await Store.open(server.url('small'));
  const write = (size: number) => store.transaction((db) => metaSet(system, db, 'agent.sequence', noise(size)));
  const outcomes = await Promise.allSettled([write(30_000_000), write(10)]);
  for (const outcome of outcomes) assert.match(String(outcome.status === 'rejected' && outcome.reason), /its database's disk is full/);
  await run('mount', ['-o', 'remount,size=100m', directory]);
  await write(30_000_000);
  assert.equal((await metaGet(system, store.db, 'agent.sequence'))?.length, 30_000_000);
});

/** Text that does not compress. */
const noise = (length: number): string => randomBytes(length).toString('base64').slice(0, length);

const smallDisk = async (context: TestContext, mebibytes: number): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-small-'));
  await run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=0700,uid=postgres,gid=postgres`, 'cenote-test', directory]);
  context.after(async () => {
    await run('umount', ['-l', directory]);
    rmSync(directory, { recursive: true });
  });
  return directory;
};
