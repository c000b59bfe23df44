/** Copies of what a machine has in it, and images made of it, through the agent's API over fakes of the host: nobody waits for them for good. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../src/base/errors.ts';
import { plainRoots } from '../../src/host/rootfs/fake.ts';
import type { RootRequest } from '../../src/host/rootfs/rootfs.ts';
import { agentFixture } from '../support/agent-fixture.ts';
import type { AgentFixture } from '../support/agent-fixture.ts';

const imageOf = (agent: AgentFixture, machine: string) =>
  agent.client.imageCreate({ id: randomUUID(), name: 'copy', kind: 'app', config: {}, fromMachine: machine }, undefined);

test('an image of a machine that is stopped before its turn comes is made of it as it is then', async (t) => {
  await using agent = await agentFixture();
  const freeze = t.mock.method(agent.cgroups, 'freeze');
  const spec = agent.spec({ command: ['stubborn'] });
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  // It has a second of grace.
  const stopped = agent.client.machineStop(spec.id, { generation: 2 });
  while ((await agent.client.machineGet(spec.id)).state !== 'stopping') await sleep(5);
  await imageOf(agent, spec.id);
  assert.equal((await stopped).state, 'stopped');
  assert.equal(freeze.mock.callCount(), 0, 'there is nothing to freeze');
});

test('an image of a machine that is started before its turn comes is of one moment', async (t) => {
  await using agent = await agentFixture();
  const freeze = t.mock.method(agent.cgroups, 'freeze');
  const { promise: let_, resolve: go } = Promise.withResolvers<void>();
  const { mount } = plainRoots;
  t.mock.method(plainRoots, 'mount', async (request: RootRequest) => {
    await let_;
    return mount(request);
  });
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'stopped' });
  const started = agent.client.machineStart(spec.id, { generation: 2 });
  while ((await agent.client.machineGet(spec.id)).state !== 'provisioning') await sleep(5);
  const made = imageOf(agent, spec.id);
  await sleep(50); // long enough for it to be asked for
  go();
  await Promise.all([started, made]);
  assert.equal(freeze.mock.callCount(), 1);
  assert.equal(agent.cgroups.frozen.size, 0);
});

test('a machine goes on when what was mounted for its image cannot be taken away', async (t) => {
  await using agent = await agentFixture();
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  t.mock.method(plainRoots, 'unmount', async () => {
    throw new Error('busy');
  });
  await assert.rejects(imageOf(agent, spec.id));
  assert.equal(agent.cgroups.frozen.size, 0);
  t.mock.restoreAll();
});

test('of a root that can only be read nothing stays mounted', async (t) => {
  await using agent = await agentFixture();
  const mounted: string[] = [];
  t.mock.method(plainRoots, 'mount', async ({ target }: RootRequest) => {
    mounted.push(target);
    mkdirSync(target, { recursive: true });
    return false;
  });
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'stopped' });
  await assert.rejects(agent.client.machineStart(spec.id, { generation: 2 }), { message: /can only be read/ });
  await assert.rejects(agent.client.http.stream('GET', `/v1/machines/${spec.id}/files`, { query: { path: '/' } }), { message: /can only be read/ });
  assert.equal(mounted.length, 4, 'twice each');
  for (const target of mounted) assert.ok(!existsSync(target), target);
});

const mebibyte = 2 ** 20;
/** By the real clock, where tests have another. */
const { setTimeout: usual } = globalThis;
const really = (ms: number): Promise<void> => new Promise((resolve) => void usual(resolve, ms));

/** A machine at rest with more in it than waits on the way to a reader. */
const machineWithFiles = async (t: TestContext, agent: AgentFixture): Promise<string> => {
  t.mock.method(plainRoots, 'mount', async ({ target }: RootRequest) => {
    mkdirSync(target, { recursive: true });
    for (let file = 0; file < 16; file += 1) writeFileSync(join(target, `file-${file}`), Buffer.alloc(mebibyte));
    return true;
  });
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'stopped' });
  return spec.id;
};

const filesOf = (agent: AgentFixture, id: string) => agent.client.http.stream('GET', `/v1/machines/${id}/files`, { query: { path: '/' } });

test('a copy that nobody reads on is broken off after a minute, and the machine is had by others', async (t) => {
  await using agent = await agentFixture();
  const id = await machineWithFiles(t, agent);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const archive = await filesOf(agent, id);
  let state = '';
  const started = agent.client.machineStart(id, { generation: 2 }).then((status) => (state = status.state));
  await really(200);
  assert.equal(state, '', 'the copy has its turn');
  // On a busy host it may have moved until now.
  for (let minute = 0; minute < 3 && state === ''; minute += 1) {
    t.mock.timers.tick(60_000);
    for (let round = 0; round < 200 && state === ''; round += 1) await really(10);
  }
  assert.equal(state, 'running');
  await started;
  await assert.rejects(archive.resume().toArray(), { code: 'ECONNRESET' });
});

test('of a copy into a machine of which no more comes the same holds, and who sent is told', async (t) => {
  await using agent = await agentFixture();
  const id = await machineWithFiles(t, agent);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const silent = new PassThrough();
  silent.write(Buffer.alloc(100, 1));
  const options = { query: { path: '/' }, stream: silent, headers: { 'content-type': 'application/x-tar' } };
  let why = '';
  const sent = agent.client.http.json('PUT', `/v1/machines/${id}/files`, options).catch((error: unknown) => (why = messageOf(error)));
  for (let minute = 0; minute < 3 && why === ''; minute += 1) {
    await really(200);
    t.mock.timers.tick(60_000);
  }
  await really(200);
  t.mock.timers.reset();
  silent.destroy();
  await sent;
  assert.match(why, /nothing of the copy moved for 60 s/);
  assert.equal((await agent.client.machineStart(id, { generation: 2 })).state, 'running');
});

test('a copy that is read slowly comes whole', async (t) => {
  await using agent = await agentFixture();
  const id = await machineWithFiles(t, agent);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const archive = await filesOf(agent, id);
  let [bytes, next] = [0, 3 * mebibyte];
  for await (const chunk of archive as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes < next) continue;
    next += 3 * mebibyte;
    await really(20);
    t.mock.timers.tick(40_000);
  }
  assert.ok(bytes > 16 * mebibyte);
});
