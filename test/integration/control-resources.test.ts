/** Snapshots, images, platforms, packages, events and the audit through the control plane's API. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import type { Event } from '../../src/model/event.ts';
import { defaultCatalogue, defaultResources } from '../../src/model/default-resources.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';

test('snapshots: create, list, clone, rollback, delete', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const { machine } = await client.machineCreate({ name: 'db', env: { A: 'b' } }, { wait: 10 });
  const made = await client.snapshotCreate('db', { name: 'before' }, { wait: 10 });
  assert.equal(made.job.state, 'succeeded');
  assert.equal(made.job.result['freezeMs'], 1);
  assert.deepEqual(
    (await client.snapshotList('db')).map(({ name }) => name),
    ['before'],
  );
  const twice = await client.snapshotCreate('db', { name: 'before' }, { wait: 10 });
  assert.equal(twice.job.state, 'failed');
  assert.equal((twice.job.result['error'] as { code: string }).code, 'already_exists');
  assert.equal(twice.machine!.state, 'running');
  const clone = await client.machineCreate({ name: 'copy', fromSnapshot: { machine: 'db', name: 'before' } }, { wait: 10 });
  assert.equal(clone.job.state, 'succeeded', clone.job.reason ?? '');
  assert.deepEqual(clone.machine!.image, machine!.image);
  await assert.rejects(client.machineCreate({ name: 'wrong', fromSnapshot: { machine: 'db', name: 'nosuch' } }), {
    code: 'invalid_argument',
    message: /nosuch/,
  });
  assert.equal((await client.snapshotRollback('db', 'before', { wait: 10 })).job.state, 'succeeded');
  assert.equal((await client.snapshotRollback('db', 'nosuch', { wait: 10 })).job.state, 'failed');
  assert.equal((await client.snapshotDelete('db', 'before', { wait: 10 })).job.state, 'succeeded');
  assert.equal((await client.snapshotDelete('db', 'before', { wait: 10 })).job.state, 'failed');
  await assert.rejects(client.snapshotCreate('db', { name: '../x' }), { code: 'invalid_argument' });
  await assert.rejects(client.snapshotCreate('db', { name: '..' }), { code: 'invalid_argument' });
  await assert.rejects(client.snapshotDelete('nosuch', 'x'), { code: 'not_found' });
});

test('a clone is as its source machine is, but for what is said and what only one may have', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  await client.packageCreate({ name: 'db', resources: { ...defaultResources, memoryMib: 128, cpuCeilingMillis: 2000 } });
  const config = { Cmd: ['/bin/db'], User: '7', WorkingDir: '/srv', Labels: { 'cenote.no-new-privileges': 'true' } };
  await client.imageCreate({ name: 'db', config }, Readable.from(['x']));
  const asked = {
    image: 'db',
    platform: 'web@9',
    package: 'db',
    resources: { processes: 77 },
    command: ['/bin/db', '--big'],
    env: { A: 'b' },
    restart: { policy: 'always' as const, maxRetries: null },
    stopGraceSeconds: 33,
    firewallEnabled: true,
    tags: { role: 'db' },
    metadata: { 'user-script': '#!/bin/sh', token: 'secret' },
    publish: [{ hostPort: 9000, machinePort: 80, protocol: 'tcp' as const }],
  };
  const source = (await client.machineCreate({ name: 'one', ...asked }, { wait: 10 })).machine!;
  await client.snapshotCreate('one', { name: 's' }, { wait: 10 });
  const fromSnapshot = { machine: 'one', name: 's' };
  const { job, machine } = await client.machineCreate({ name: 'two', fromSnapshot }, { wait: 10 });
  assert.equal(job.state, 'succeeded', job.reason ?? '');
  for (const key of ['image', 'platform', 'package', 'resources', 'command', 'env', 'restart', 'stopGraceSeconds', 'firewallEnabled'] as const) {
    assert.deepEqual([key, machine![key]], [key, source[key]]);
  }
  assert.deepEqual([machine!.tags, machine!.publish, machine!.metadata], [{}, [], { 'user-script': '#!/bin/sh' }]);
  assert.deepEqual(fixture.agent.machines.get(machine!.id)?.status.spec.config, config);

  const other = {
    resources: { memoryMib: 256 },
    command: ['/bin/other'],
    env: {},
    restart: { policy: 'never' as const, maxRetries: null },
    firewallEnabled: false,
  };
  const changed = (await client.machineCreate({ name: 'three', fromSnapshot, ...other }, { wait: 10 })).machine!;
  assert.deepEqual(changed.resources, { ...source.resources, memoryMib: 256 });
  assert.deepEqual([changed.command, changed.env, changed.restart, changed.firewallEnabled], [['/bin/other'], {}, other.restart, false]);
  assert.deepEqual(changed.package, source.package);
  const repackaged = (await client.machineCreate({ name: 'four', fromSnapshot, package: 'tiny' }, { wait: 10 })).machine!;
  assert.deepEqual(repackaged.resources, defaultCatalogue[0]!.resources);
  await assert.rejects(client.machineCreate({ name: 'five', fromSnapshot, resources: { cpuMillis: 3000 } }), {
    code: 'invalid_argument',
    message: /cpuCeilingMillis/,
  });
});

test('images: upload, from a machine, names, in use', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const image = await client.imageCreate({ name: 'app', config: { Cmd: ['/app/run'] } }, Readable.from([Buffer.alloc(2 * 1024 * 1024)]));
  assert.equal(image.sizeMib, 2);
  assert.deepEqual(await client.imageGet('app'), image);
  assert.deepEqual(await client.imageGet(image.id), image);
  assert.ok((await client.imageList()).some(({ name }) => name === 'app'));
  await assert.rejects(client.imageCreate({ name: 'app' }, Readable.from([''])), { code: 'already_exists' });
  await assert.rejects(client.imageCreate({ name: 'App' }, Readable.from([''])), { code: 'invalid_argument' });
  await assert.rejects(client.imageCreate({ name: 'x', config: { StopSignal: 'SIGWHAT' } }, Readable.from([''])), {
    code: 'invalid_argument',
    message: /StopSignal: "SIGWHAT" is not a signal/,
  });
  await assert.rejects(client.imageCreate({ name: 'x', extra: 1 } as never, Readable.from([''])), { code: 'invalid_argument' });
  await client.machineCreate({ name: 'user', image: 'app' }, { wait: 10 });
  await assert.rejects(client.imageDelete('app'), (error: Error) => /used by "user"/.test(error.message));
  const copy = await client.imageCreate({ name: 'copy', fromMachine: 'user' }, undefined);
  assert.deepEqual(copy.config, { Cmd: ['/app/run'] });
  await client.machineDelete('user', { wait: 10 });
  await client.imageDelete('app');
  await assert.rejects(client.imageGet('app'), { code: 'not_found' });
  await assert.rejects(client.imageDelete('base'), { code: 'in_use' });
  await assert.rejects(client.machineCreate({ image: 'app' }), { code: 'invalid_argument' });
  assert.ok(agent.images.has(copy.id));
});

test('platforms: build with progress, newest version, in use', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const progress = (await Array.fromAsync(client.platformBuild({ name: 'db', include: ['postgresql'] }))).flat();
  assert.deepEqual(
    progress.map(({ message }) => message),
    ['packages are fetched', 'packages are unpacked', 'built'],
  );
  assert.equal(progress.at(-1)!.platform!.version, '1');
  await eventually(
    () => client.platformList(),
    (list) => list.some(({ name }) => name === 'db'),
  );
  assert.deepEqual((await client.machineCreate({ name: 'pg', platform: 'db' }, { wait: 10 })).machine!.platform, { name: 'db', version: '1' });
  await assert.rejects(client.platformDelete('db', '1'), { code: 'in_use' });
  await assert.rejects(client.platformDelete('db', '2'), { code: 'not_found' });
  await client.machineDelete('pg', { wait: 10 });
  await client.platformDelete('db', '1');
  await assert.rejects(
    async () => {
      for await (const _ of client.platformBuild({ name: 'db', include: ['a b'] }));
    },
    { code: 'invalid_argument' },
  );
});

test('packages', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const small = { ...defaultResources, memoryMib: 64, memoryCeilingMib: 256 };
  assert.deepEqual(
    (await client.packageList()).map(({ name, version, resources }) => ({ name, version, resources })),
    defaultCatalogue.map((each) => ({ ...each, version: 1 })).toSorted((one, other) => one.name.localeCompare(other.name)),
  );
  const made = await client.packageCreate({ name: 'web', resources: small });
  assert.equal((await client.packageList()).length, defaultCatalogue.length + 1);
  assert.deepEqual(await client.packageGet('web'), made);
  await assert.rejects(client.packageCreate({ name: 'web', resources: small }), { code: 'already_exists' });
  await assert.rejects(client.packageCreate({ name: 'bad', resources: { ...small, memoryCeilingMib: 32 } }), { code: 'invalid_argument' });
  const { machine } = await client.machineCreate({ name: 'a', package: 'web', resources: { cpuMillis: 200 } }, { wait: 10 });
  assert.deepEqual(machine!.package, { name: 'web', version: 1 });
  assert.deepEqual(machine!.resources, { ...small, cpuMillis: 200 });
  const second = await client.packageUpdate('web', { resources: { memoryMib: 128 } });
  assert.deepEqual(second, { ...made, version: 2, resources: { ...small, memoryMib: 128 }, createdAt: second.createdAt });
  assert.deepEqual(await client.packageUpdate('web', { resources: { memoryMib: 128 } }), second, 'no change is no version');
  assert.deepEqual(await client.packageGet('web@1'), made);
  assert.deepEqual(await client.packageGet('web'), second);
  assert.equal((await client.machineGet('a')).resources.memoryMib, 64, 'machines keep what they have');
  await assert.rejects(client.packageUpdate('web', { resources: { memoryCeilingMib: 32 } }), { code: 'invalid_argument' });
  const resized = await client.machineResize('a', { package: 'web' }, { wait: 10 });
  assert.deepEqual(resized.machine!.package, { name: 'web', version: 2 });
  assert.equal(resized.machine!.resources.memoryMib, 128);
  for (const text of ['web@1@2', 'web@01', 'web@1.0', 'web@0x1', 'web@+1', 'web@', 'web@1 ', '@1']) {
    await assert.rejects(client.packageGet(text), { code: 'not_found' }, text);
    await assert.rejects(client.packageDelete(text), { code: 'not_found' }, text);
    await assert.rejects(client.machineResize('a', { package: text }), /package: there is no package/, text);
  }
  await assert.rejects(client.packageDelete('web'), { code: 'in_use' });
  await assert.rejects(client.packageDelete('web@2'), { code: 'in_use' });
  await client.packageDelete('web@1');
  await client.machineResize('a', { package: 'tiny' }, { wait: 10 });
  await client.packageDelete('web');
  await assert.rejects(client.packageGet('web'), { code: 'not_found' });
  await assert.rejects(client.packageDelete('web'), { code: 'not_found' });
});

test('events: in order, from a number on, and followed as they happen', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  const followed: Event[] = [];
  const stop = new AbortController();
  const following = (async () => {
    for await (const batch of client.events({ follow: true }, { signal: stop.signal })) followed.push(...batch);
  })().catch(() => undefined);
  await eventually(
    () => client.machineCreate({ name: `m${Date.now()}` }, { wait: 10 }).then(() => followed.length),
    (count) => count > 0,
  );
  const { machine } = await client.machineCreate({ name: 'seen' }, { wait: 10 });
  await eventually(
    () =>
      followed
        .filter(({ subject }) => subject === machine!.id)
        .map(({ type }) => type)
        .toSorted()
        .join(),
    (types) => types === 'job.succeeded,machine.created,machine.started',
  );
  stop.abort();
  await following;
  const all = (await Array.fromAsync(client.events())).flat();
  assert.deepEqual(
    all.map(({ sequence }) => sequence),
    all.map((_, index) => index + 1),
  );
  const job = all.find(({ type, subject }) => type === 'job.succeeded' && subject === machine!.id)!;
  assert.equal(job.detail['action'], 'create');
  assert.match(String(job.detail['actor']), /^uid:/);
  const later = (await Array.fromAsync(client.events({ after: 3 }))).flat();
  assert.deepEqual(later, all.slice(3));
  await fixture.restart();
  assert.deepEqual((await Array.fromAsync(client.events())).flat(), all);
  await assert.rejects(
    async () => {
      for await (const _ of client.http.ndjson('GET', '/v1/events', { query: { after: 'x' } }));
    },
    { code: 'invalid_argument' },
  );
});

test('the audit says who, what and how it ended, also of what is gone', async () => {
  await using fixture = await controlFixture();
  const { client, agent } = fixture;
  const { machine } = await client.machineCreate({ name: 'a' }, { wait: 10 });
  agent.fault = ({ path }) =>
    path === '/v1/resizes' ? { kind: 'refuse', code: 'not_enough', message: 'disk: 90M are in use, 16M were asked for' } : undefined;
  const resized = await client.machineResize('a', { resources: { diskMib: 16 } }, { wait: 10 });
  assert.equal(resized.machine!.state, 'running');
  assert.equal(resized.machine!.resources.diskMib, defaultResources.diskMib);
  await client.machineDelete('a', { wait: 10 });
  const jobs = await client.machineJobs(machine!.id);
  assert.deepEqual(
    jobs.map(({ action, state, reason }) => [action, state, reason]),
    [
      ['delete', 'succeeded', null],
      ['resize', 'failed', 'disk: 90M are in use, 16M were asked for'],
      ['create', 'succeeded', null],
    ],
  );
  for (const job of jobs) {
    assert.match(job.actor, /^uid:\d+ \(.+\)$/);
    assert.ok(job.finishedAt !== null && job.finishedAt >= job.createdAt);
    assert.deepEqual(await client.jobGet(job.id), job);
  }
  await assert.rejects(client.machineJobs('44444444-4444-4444-8444-444444444444'), { code: 'not_found' });
  await assert.rejects(client.jobGet('nosuch'), { code: 'not_found' });
});

test('what has become free meanwhile is given at once', async () => {
  await using fixture = await controlFixture({ agent: { pool: { cpuMillis: 1000, memoryMib: 1024, diskMib: 20_000 } } });
  const { client, agent } = fixture;
  const large = { resources: { cpuMillis: 1500 } };
  await assert.rejects(client.machineCreate({ name: 'large', ...large }, { wait: 10 }), { code: 'not_enough' });
  agent.options.pool = { ...agent.options.pool, cpuMillis: 3000 };
  await client.machineCreate({ name: 'large', ...large }, { wait: 10 });
  agent.options.pool = { ...agent.options.pool, cpuMillis: 5000 };
  await client.machineResize('large', { resources: { cpuMillis: 4000 } }, { wait: 10 });
  agent.options.pool = { ...agent.options.pool, cpuMillis: 9000 };
  await assert.rejects(client.machineResize('large', { resources: { cpuMillis: 9500 } }, { wait: 10 }), { code: 'not_enough' });
});
