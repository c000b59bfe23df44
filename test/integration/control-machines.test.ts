/** Machines through the control plane's API, over a simulated agent: every action, good and bad. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CenoteError } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { defaultResources } from '../../src/model/default-resources.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';

const refusal = (code: ErrorCode, field?: string) => (error: unknown) => {
  assert.ok(error instanceof CenoteError, String(error));
  assert.equal(error.code, code, error.message);
  if (field !== undefined)
    assert.ok(
      error.fields.some((one) => one.field === field),
      JSON.stringify(error.toBody()),
    );
  return true;
};

test('a number out of range is told as such, also where null would do', async () => {
  await using fixture = await controlFixture();
  for (const [field, value] of [
    ['memoryCeilingMib', 1],
    ['cpuCeilingMillis', 0],
  ] as const)
    await assert.rejects(fixture.client.machineCreate({ name: 'web', resources: { [field]: value } }), {
      code: 'invalid_argument',
      message: new RegExp(`^resources\\.${field}: must be >= `),
    });
  await assert.rejects(fixture.client.machineCreate({ name: 'web', resources: { memoryCeilingMib: 'all' as unknown as number } }), {
    message: /^resources\.memoryCeilingMib: must match/,
  });
});

test('an image without a command wants one from whoever starts a machine of it', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const bare = { ...agent.images.values().next().value!, id: '00000000-0000-4000-8000-00000000ba4e', name: 'bare', builtIn: false, config: {} };
  agent.images.set(bare.id, bare);
  await assert.rejects(client.machineCreate({ name: 'web', image: 'bare' }), refusal('invalid_argument', 'command'));
  await assert.rejects(client.machineGet('web'), refusal('not_found'));
  assert.equal((await client.machineCreate({ name: 'told', image: 'bare', command: ['serve'] }, { wait: 10 })).machine!.state, 'running');
  assert.equal((await client.machineCreate({ name: 'later', image: 'bare', start: false }, { wait: 10 })).machine!.state, 'stopped');
  await client.machineCreate({ name: 'other' }, { wait: 10 });
  await assert.rejects(client.machineUpdate('other', { image: 'bare' }), refusal('invalid_argument', 'command'));
  await assert.rejects(client.machineUpdate('told', { command: null }), refusal('invalid_argument', 'command'));
  assert.equal((await client.machineUpdate('other', { image: 'bare', command: ['serve'] }, { wait: 10 })).job.state, 'succeeded');
});

test('a name and a port given up are free although other actions wait', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const port = { hostPort: 8080, machinePort: 80, protocol: 'tcp' } as const;
  const { id } = (await client.machineCreate({ name: 'web', publish: [port] }, { wait: 10 })).machine!;
  const asked = [
    () => client.machineRename(id, 'site'),
    () => client.machineRename(id, 'shop'),
    () => client.machineUpdate(id, { publish: [] }),
    () => client.machineResize(id, { resources: { cpuMillis: 2 } }),
    () => client.machineReboot(id),
  ];
  const jobs = [];
  for (const ask of asked) jobs.push((await ask()).job);
  await assert.rejects(client.machineCreate({ name: 'shop' }), refusal('already_exists', 'name'));
  for (const { id } of jobs)
    await eventually(
      () => client.jobGet(id),
      ({ state }) => state === 'succeeded',
    );
  await client.machineCreate({ name: 'web', publish: [port] });
  await client.machineCreate({ name: 'site' });
  await assert.rejects(client.machineCreate({ name: 'shop' }), refusal('already_exists', 'name'));
});

test('of a machine whose create failed only the reason is left, and no action but its delete is taken', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  agent.fault = ({ method }) => (method === 'PUT' ? { kind: 'refuse', code: 'failed', message: 'crun: no such program' } : undefined);
  const { machine } = await client.machineCreate({ name: 'web' }, { wait: 10 });
  agent.fault = () => undefined;
  assert.equal(machine!.state, 'failed');
  const why = { code: 'wrong_state', message: 'web was never made: crun: no such program', advice: 'delete it, and create it again: cenote delete web' };
  await assert.rejects(client.machineStart('web'), why);
  await assert.rejects(client.machineResize('web', { resources: { memoryMib: 8 } }), why);
  await assert.rejects(client.machineUpdate('web', { env: {} }), why);
  await assert.rejects(client.snapshotCreate('web', { name: 'one' }), why);
  await assert.rejects(client.snapshotList('web'), why);
  await assert.rejects(client.machineUsage('web'), why);
  await assert.rejects(client.logs('web', {}), why);
  await assert.rejects(client.filesGet('web', '/etc'), why);
  assert.equal((await client.machineJobs('web')).length, 1);
  assert.equal((await client.machineDelete('web', { wait: 10 })).job.state, 'succeeded');
});

test('a machine from create to delete', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const { job, machine } = await client.machineCreate(
    { name: 'web', env: { A: 'b' }, tags: { role: 'front' }, publish: [{ hostPort: 8080, machinePort: 80, protocol: 'tcp' }] },
    { wait: 10 },
  );
  assert.equal(job.state, 'succeeded', job.reason ?? '');
  assert.equal(job.action, 'create');
  assert.match(job.actor, /^uid:\d+ \(.+\)$/);
  assert.equal(machine!.state, 'running');
  assert.equal(machine!.address, '10.77.0.2');
  assert.deepEqual(machine!.resources, defaultResources);
  assert.deepEqual(machine!.image.name, 'base');
  assert.deepEqual(machine!.platform, { name: 'host', version: 'live' });
  assert.equal(typeof job.result['milliseconds'], 'number');
  const { id } = machine!;
  assert.deepEqual(await client.machineGet('web'), machine);
  assert.deepEqual(await client.machineGet(id), machine);
  assert.deepEqual(await client.machineList(), [machine]);

  const stopped = await client.machineStop('web', { graceSeconds: 1 }, { wait: 10 });
  assert.equal(stopped.machine!.state, 'stopped');
  assert.equal(stopped.machine!.desired, 'stopped');
  assert.equal((await client.machineStart('web', { wait: 10 })).machine!.state, 'running');
  assert.equal((await client.machineReboot('web', {}, { wait: 10 })).machine!.state, 'running');

  const renamed = await client.machineRename('web', 'site', { wait: 10 });
  assert.equal(renamed.machine!.name, 'site');
  await assert.rejects(client.machineGet('web'), refusal('not_found'));
  await client.machineCreate({ name: 'web' }, { wait: 10 });

  const resized = await client.machineResize('site', { resources: { memoryMib: 512 } }, { wait: 10 });
  assert.deepEqual(resized.machine!.resources, { ...defaultResources, memoryMib: 512 });

  const updated = await client.machineUpdate('site', { env: { C: 'd' }, tags: { role: 'back' }, publish: [], platform: 'web' }, { wait: 10 });
  assert.equal(updated.job.state, 'succeeded', updated.job.reason ?? '');
  assert.deepEqual(updated.machine!.env, { C: 'd' });
  assert.deepEqual(updated.machine!.platform, { name: 'web', version: '10' });
  assert.deepEqual(
    (await client.machineList({ tags: { role: 'back' } })).map(({ name }) => name),
    ['site'],
  );
  assert.deepEqual(await client.machineList({ tags: { role: 'front' } }), []);
  await client.machineUpdate('web', { publish: [{ hostPort: 8080, machinePort: 80, protocol: 'tcp' }] }, { wait: 10 });

  assert.equal((await client.machineUsage('site')).id, id);
  assert.equal((await client.machineProcesses('site'))[0]!.command, 'sleep');

  const deleted = await client.machineDelete('site', { wait: 10 });
  assert.equal(deleted.job.state, 'succeeded');
  assert.equal(deleted.machine, null);
  await assert.rejects(client.machineGet(id), refusal('not_found'));
  assert.ok(!agent.machines.has(id));
  const actions = (await client.machineJobs(id)).map(({ action, state }) => `${action} ${state}`);
  assert.deepEqual(
    actions,
    ['delete', 'update', 'resize', 'rename', 'reboot', 'start', 'stop', 'create'].map((action) => `${action} succeeded`),
  );
  assert.deepEqual(agent.doubled, []);
  // An address that was given back comes round last: its former owner's flows are forgotten by then.
  assert.equal((await client.machineCreate({})).machine!.address, '10.77.0.4');
});

test('what cannot be is refused with the field and nothing changes', async () => {
  await using fixture = await controlFixture({
    agent: { pool: { cpuMillis: 1000, memoryMib: 1024, diskMib: 20_000, networkMbps: 1000 }, unsupported: [{ field: 'ioWriteIops', reason: 'cgroup v1' }] },
  });
  const { client, agent } = fixture;
  await client.machineCreate({ name: 'first', publish: [{ hostPort: 80, machinePort: 80, protocol: 'tcp' }] }, { wait: 10 });
  const calls = agent.calls.length;
  const bad: [Parameters<typeof client.machineCreate>[0], ErrorCode, string?][] = [
    [{ name: 'first' }, 'already_exists', 'name'],
    [{ name: '-x' }, 'invalid_argument', 'name'],
    [{ name: 'a'.repeat(64) }, 'invalid_argument', 'name'],
    [{ name: '11111111-1111-4111-8111-111111111111' }, 'invalid_argument', 'name'],
    [{ image: 'nosuch' }, 'invalid_argument', 'image'],
    [{ platform: 'nosuch' }, 'invalid_argument', 'platform'],
    [{ platform: 'web@2' }, 'invalid_argument', 'platform'],
    [{ platform: 'web@' }, 'invalid_argument', 'platform'],
    [{ image: 'whole', platform: 'web' }, 'invalid_argument', 'platform'],
    [{ package: 'nosuch' }, 'invalid_argument', 'package'],
    [{ resources: { memoryMib: 1025 - defaultResources.memoryMib } }, 'not_enough', 'resources.memoryMib'],
    [{ resources: { cpuMillis: 1001 - defaultResources.cpuMillis } }, 'not_enough', 'resources.cpuMillis'],
    [{ resources: { diskMib: 20_001 - defaultResources.diskMib } }, 'not_enough', 'resources.diskMib'],
    [{ resources: { networkMbps: 1001 } }, 'not_enough', 'resources.networkMbps'],
    [{ resources: { burst: { baselineMillis: 19, burstSeconds: 5 } } }, 'invalid_argument', 'resources.burst.baselineMillis'],
    [{ resources: { ioWriteIops: 5 } }, 'unsupported', 'resources.ioWriteIops'],
    [{ package: 'tiny@' }, 'invalid_argument', 'package'],
    [{ package: 'tiny@2' }, 'invalid_argument', 'package'],
    [{ resources: { memoryMib: 512, memoryCeilingMib: 256 } }, 'invalid_argument', 'resources.memoryCeilingMib'],
    [{ resources: { memoryMib: 1.5 } }, 'invalid_argument', 'resources.memoryMib'],
    [{ resources: { memoryMib: '512' as never } }, 'invalid_argument', 'resources.memoryMib'],
    [{ resources: { memory: 5 } as never }, 'invalid_argument', 'resources.memory'],
    [{ colour: 'red' } as never, 'invalid_argument', 'colour'],
    [{ env: { '1x': 'y' } }, 'invalid_argument', 'env.1x'],
    [{ env: { X: 'a\0b' } }, 'invalid_argument', 'env.X'],
    [{ env: { X: 5 as never } }, 'invalid_argument', 'env.X'],
    [{ tags: { 'a b': 'c' } }, 'invalid_argument', 'tags.a b'],
    [{ command: [] }, 'invalid_argument', 'command'],
    [{ publish: [{ hostPort: 80, machinePort: 1, protocol: 'tcp' }] }, 'in_use', 'publish'],
    [{ publish: [{ hostPort: 0, machinePort: 1, protocol: 'tcp' }] }, 'invalid_argument', 'publish.0.hostPort'],
    [{ publish: [1, 2].map(() => ({ hostPort: 81, machinePort: 1, protocol: 'tcp' as const })) }, 'invalid_argument', 'publish.1.hostPort'],
    [{ publish: [{ hostPort: 81, machinePort: 1, protocol: 'sctp' as never }] }, 'invalid_argument', 'publish.0.protocol'],
    [{ fromSnapshot: { machine: 'nosuch', name: 'x' } }, 'invalid_argument', 'fromSnapshot.machine'],
    [{ fromSnapshot: { machine: 'first', name: 'x' }, image: 'whole' }, 'invalid_argument', 'image'],
    [{ fromSnapshot: { machine: 'first', name: 'x' } }, 'invalid_argument', 'fromSnapshot.name'],
    [{ restart: { policy: 'sometimes' as never, maxRetries: null } }, 'invalid_argument', 'restart.policy'],
  ];
  for (const [asked, code, field] of bad) await assert.rejects(client.machineCreate(asked), refusal(code, field), JSON.stringify(asked));
  assert.equal((await client.machineList()).length, 1);
  assert.equal(agent.calls.slice(calls).filter(({ method }) => method !== 'GET').length, 0);

  await assert.rejects(client.machineGet('nosuch'), refusal('not_found'));
  await assert.rejects(client.machineStart('nosuch'), refusal('not_found'));
  await assert.rejects(client.machineRename('first', 'a b'), refusal('invalid_argument', 'name'));
  await assert.rejects(client.machineResize('first', {}), refusal('invalid_argument', 'resources'));
  await assert.rejects(client.machineResize('first', { resources: { memoryMib: 4096 } }), refusal('not_enough', 'resources.memoryMib'));
  await assert.rejects(client.machineUpdate('first', {}), refusal('invalid_argument'));
  await assert.rejects(client.machineUpdate('first', { image: 'nosuch' }), refusal('invalid_argument', 'image'));
  await assert.rejects(client.machineStop('first', { graceSeconds: -1 }), refusal('invalid_argument', 'graceSeconds'));
  await assert.rejects(client.machineStart('first', { wait: 601 }), refusal('invalid_argument', 'wait'));
  await assert.rejects(client.http.json('GET', '/v1/machines', { query: { nmae: 'x' } }), refusal('invalid_argument', 'nmae'));
  await assert.rejects(client.machineList({ state: 'flying' as never }), refusal('invalid_argument', 'state'));
  await assert.rejects(client.machineList({ limit: 1001 }), refusal('invalid_argument', 'limit'));
  assert.equal((await client.machineGet('first')).generation, 1);
});

test('lists are filtered and paged by name', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  await Promise.all(
    Array.from({ length: 25 }, (_, index) =>
      client.machineCreate({ name: `m${String(index).padStart(2, '0')}`, start: index % 2 === 0, tags: { half: index < 12 ? 'low' : 'high' } }, { wait: 10 }),
    ),
  );
  const names = (await client.machineList()).map(({ name }) => name);
  assert.deepEqual(names, names.toSorted());
  assert.equal(names.length, 25);
  assert.deepEqual(
    (await client.machineList({ limit: 10, offset: 20 })).map(({ name }) => name),
    names.slice(20),
  );
  assert.equal((await client.machineList({ state: 'stopped' })).length, 12);
  assert.equal((await client.machineList({ state: 'running', tags: { half: 'low' } })).length, 6);
  assert.deepEqual(
    (await client.machineList({ name: 'm07' })).map(({ name }) => name),
    ['m07'],
  );
  const addresses = new Set((await client.machineList()).map(({ address }) => address));
  assert.equal(addresses.size, 25);
});

test('a failed create says why, holds only its name and address, and can be deleted', async () => {
  await using fixture = await controlFixture({ agent: { pool: { cpuMillis: 1000, memoryMib: 300, diskMib: 20_000 } } });
  const { client, agent } = fixture;
  agent.fault = ({ method }) => (method === 'PUT' ? { kind: 'refuse', code: 'failed', message: 'crun: no such program' } : undefined);
  const { job, machine } = await client.machineCreate({ name: 'bad', resources: { memoryMib: 200 } }, { wait: 10 });
  assert.equal(job.state, 'failed');
  assert.equal(job.reason, 'crun: no such program');
  assert.equal((job.result['error'] as { code: string }).code, 'failed');
  assert.equal(machine!.state, 'failed');
  assert.equal(machine!.error, 'crun: no such program');
  agent.fault = () => undefined;
  assert.equal((await client.machineCreate({ name: 'good', resources: { memoryMib: 200 } }, { wait: 10 })).machine!.address, '10.77.0.3');
  await client.machineDelete('bad', { wait: 10 });
  assert.deepEqual(
    (await client.machineList()).map(({ name }) => name),
    ['good'],
  );
});

test('a machine that ends by itself is seen without being asked for', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const { machine } = await client.machineCreate({ name: 'short' }, { wait: 10 });
  agent.exit(machine!.id, 3);
  const seen = await eventually(
    () => client.machineGet('short'),
    ({ exit }) => exit !== null,
  );
  assert.equal(seen.state, 'stopped');
  assert.equal(seen.exit!.code, 3);
});

test('out of addresses is said, and a freed one serves again', async () => {
  await using fixture = await controlFixture({ agent: { subnet: '10.9.0.0/29', gateway: '10.9.0.1' } });
  const { client } = fixture;
  const made = await Promise.all([1, 2, 3, 4, 5].map(() => client.machineCreate({}, { wait: 10 })));
  assert.deepEqual(
    made.map(({ machine }) => machine!.address).toSorted(),
    [2, 3, 4, 5, 6].map((last) => `10.9.0.${last}`),
  );
  await assert.rejects(client.machineCreate({}), refusal('not_enough'));
  const freed = made[2]!.machine!;
  await client.machineDelete(freed.id, { wait: 10 });
  assert.equal((await client.machineCreate({})).machine!.address, freed.address);
});
