/** What befalls the two services themselves: killed together, standing still, short of what a process needs, on a host whose clock jumps, without their memory. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, runAny } from '../../src/exec/run.ts';
import type { CreateMachine } from '../../src/model/control-api.ts';
import type { Job } from '../../src/model/event.ts';
import { servicesOf } from '../../src/setup/service-list.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { random } from '../support/random.ts';
import { seed } from '../support/seed.ts';
import { checkHost } from './agent-crashes.ts';
import { SteadyWorld, small, whole } from './steady-world.ts';

describe('what befalls the services', { skip: skipInstance, timeout: 900_000 }, () => {
  let world: SteadyWorld;
  let instance: TestInstance;
  let services: OwnServices;
  before(async () => {
    world = await SteadyWorld.make();
    ({ instance, services } = world);
  });
  after(() => world[Symbol.asyncDispose]());

  test('both killed at the same moment, again and again', async () => {
    const next = random(seed);
    for (let round = 0; round < 8; round += 1) {
      const accepted: string[] = [];
      const send = async (act: () => Promise<{ job: Job }>) => {
        try {
          accepted.push((await act()).job.id);
        } catch {
          // not acknowledged: it may have been taken or not
        }
      };
      const killBoth = async (within: number, asked: Promise<unknown>[]) => {
        await sleep(next(within));
        await Promise.all([services.stop('agent', 'SIGKILL'), services.stop('control', 'SIGKILL')]);
        await Promise.all(asked);
        // Whichever is there first: the control plane waits for an agent as the agent for nobody.
        if (next(2) === 0) await services.startBoth();
        else {
          const control = services.startControl();
          await sleep(next(200));
          assert.ok(await services.startAgent());
          assert.ok(await control);
          await services.reachable();
        }
      };
      const names = ['one', 'two', 'three'].map((name) => `${name}-${round}`);
      await killBoth(
        200,
        names.map((name) => send(() => services.control.machineCreate(small(name)))),
      );
      for (const id of accepted.splice(0)) assert.equal((await world.ended(id)).state, 'succeeded');
      const kept = (await services.control.machineList()).map(({ name }) => name).filter((name) => name !== 'steady');
      await killBoth(
        150,
        kept.map((name) => send(() => services.control.machineDelete(name))),
      );
      for (const id of accepted) await world.ended(id);
      await world.removeOthers();
      await world.undisturbed();
      await checkHost(instance, services);
    }
  });

  test('a second agent of the instance does not start', async () => {
    const { argv, env } = servicesOf(services.config, services.paths).find(({ name }) => name === 'agent')!;
    const [program, ...args] = argv;
    const { code, stdout } = await runAny(program, args, { env });
    assert.equal(code, 1);
    assert.match(stdout, /another agent of this instance runs/);
    await world.undisturbed();
    await checkHost(instance, services);
  });

  test('an agent that stands still: told so in time, and nothing is lost or done twice', async () => {
    await world.works('before'); // images and platforms are known from here on
    process.kill(services.pidOf('agent'), 'SIGSTOP');
    try {
      const { job } = await services.control.machineCreate(small('patient'));
      const [told, logs, exec] = await Promise.all([
        waitingReason(services, job.id),
        instance.cenote('logs', 'steady'),
        instance.cenote('exec', 'steady', '--', '/bin/true'),
      ]);
      assert.match(told, /create waits: .*stands still/);
      for (const { code, stderr } of [logs, exec]) {
        assert.equal(code, 69, stderr);
        assert.match(stderr, /the host's agent stands still: it has not answered for \d+ s\n/);
      }
      assert.match(await instance.must('ls'), /steady/);
      process.kill(services.pidOf('agent'), 'SIGCONT');
      assert.equal((await world.ended(job.id)).state, 'succeeded');
    } finally {
      process.kill(services.pidOf('agent'), 'SIGCONT');
    }
    await services.reachable();
    await world.remove('patient');
    await world.works('moving');
  });

  test('an agent short of open files refuses, and is itself again when it has them', async () => {
    const pid = services.pidOf('agent');
    const limit = (count: number) => run('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
    const former = Number(/^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))![1]);
    await limit(readdirSync(`/proc/${pid}/fd`).length + 3);
    const names = ['few-1', 'few-2', 'few-3'];
    const reasons: string[] = [];
    const tried = names.map(async (name) => {
      const { job } = await services.control.machineCreate(small(name), { wait: 30 });
      if (job.state === 'failed') reasons.push(job.reason!);
      return job.id;
    });
    const jobs = await Promise.all(tried);
    await limit(former);
    for (const id of jobs) await world.ended(id);
    for (const reason of reasons) assert.match(reason, /^[^\n]*(too many open files|EMFILE)[^\n]*$/i);
    await world.removeOthers();
    assert.equal(services.agentProcess!.end, null, 'the agent lives');
    await world.works('plenty');
  });

  test('an agent that may start no process refuses, and is itself again when it may', async () => {
    const pid = services.pidOf('agent');
    const own = /^\d+:pids:(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
    if (own === undefined) return; // v2: a group for the agent alone would change the instance's tree
    const group = `/sys/fs/cgroup/pids/${instance.instance}-short`;
    mkdirSync(group);
    try {
      writeFileSync(join(group, 'cgroup.procs'), String(pid));
      writeFileSync(join(group, 'pids.max'), readFileSync(join(group, 'pids.current'), 'utf8'));
      const { job, machine } = await services.control.machineCreate(small('alone'), whole);
      assert.equal(job.state, 'failed');
      assert.match(job.reason!, /^creating the first process: [^\n]*$/);
      assert.equal(machine!.state, 'failed');
      writeFileSync(join(group, 'pids.max'), 'max');
      const started = await services.control.machineStart('alone', whole);
      assert.equal(started.job.state, 'succeeded', started.job.reason ?? '');
      await world.remove('alone');
    } finally {
      writeFileSync(join(group, 'pids.max'), 'max');
      for (const one of readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean))
        writeFileSync(`/sys/fs/cgroup/pids${own}/cgroup.procs`, one);
      rmdirSync(group);
    }
    await world.works('among-others');
  });

  test('a clock that jumps ten years ahead, then twenty back', async () => {
    await services.stop('control');
    await services.stop('agent');
    const preload = { NODE_OPTIONS: `--import=${resolve(import.meta.dirname, '../support/jumping-clock.mjs')}` };
    await services.startBoth(preload);
    const restless: CreateMachine = { ...small('restless'), command: ['/bin/sh', '-c', 'sleep 0.3; exit 1'], restart: { policy: 'always', maxRetries: null } };
    await services.control.machineCreate(restless, whole);
    for (let jump = 0; jump < 2; jump += 1) {
      const [before] = (await services.agent.machineList()).filter(({ spec }) => spec.name === 'restless');
      const waiting = services.control.machineCreate(small('during'), whole);
      for (const name of ['agent', 'control'] as const) process.kill(services.pidOf(name), 'SIGWINCH');
      assert.equal((await waiting).job.state, 'succeeded');
      assert.equal((await services.control.snapshotCreate('during', { name: 'then' }, whole)).job.state, 'succeeded');
      assert.equal((await services.control.machineStop('during', {}, whole)).job.state, 'succeeded');
      await world.remove('during');
      // Its restarts go on in their own time.
      for (const deadline = Date.now() + 120_000; ; await sleep(100)) {
        const now = (await services.agent.machineList()).find(({ spec }) => spec.name === 'restless')!;
        if (now.restarts > before!.restarts) break;
        assert.ok(Date.now() < deadline, 'it is not restarted');
      }
    }
    await world.remove('restless');
    await services.stop('control');
    await services.stop('agent');
    await services.startBoth();
    await world.works('on-time');
  });
});

/** What a job says that it waits for, once it says something. */
const waitingReason = async (services: OwnServices, id: string): Promise<string> => {
  for (const deadline = Date.now() + 120_000; ; await sleep(100)) {
    const { reason, state } = await services.control.jobGet(id);
    if (reason !== null) return reason;
    assert.ok(state === 'queued' || state === 'running', state);
    assert.ok(Date.now() < deadline, 'it does not say what it waits for');
  }
};

test('a lost journal: data is taken up again when asked for, and the agent is followed as before', { skip: skipInstance, timeout: 300_000 }, async () => {
  await using instance = await startInstance({ poolSizeMib: 512 });
  await using services = await OwnServices.take(instance);
  await services.startBoth();
  for (const name of ['one', 'two', 'three']) await services.control.machineCreate(small(name), whole);
  await instance.must('exec', 'one', '--', '/bin/sh', '-c', 'echo kept > /srv/file');
  assert.equal((await services.control.snapshotCreate('one', { name: 'then' }, whole)).job.state, 'succeeded');
  await services.stop('agent');
  for (const name of readdirSync(services.paths.agent)) if (name.startsWith('journal.db')) rmSync(join(services.paths.agent, name));
  assert.ok(await services.startAgent());
  await services.reachable();
  assert.deepEqual(
    (await services.control.machineList()).map(({ state, error }) => [state, error]),
    Array.from({ length: 3 }, () => ['failed', 'the host does not know this machine']),
  );
  for (const name of ['one', 'three']) {
    const { job } = await services.control.machineStart(name, whole);
    assert.equal(job.state, 'succeeded', job.reason ?? '');
  }
  assert.equal(await instance.must('exec', 'one', '--', 'cat', '/srv/file'), 'kept\n');
  assert.deepEqual(
    (await services.control.snapshotList('one')).map(({ name }) => name),
    ['then'],
  );
  assert.equal((await services.control.machineDelete('two', whole)).job.state, 'succeeded');
  await checkHost(instance, services);
  // Its events are numbered from the start again; this end is known from them alone.
  const { machine } = await services.control.machineCreate({ ...small('brief'), command: ['/bin/sleep', '1'] }, whole);
  for (const deadline = Date.now() + 60_000; (await services.control.machineGet(machine!.id)).state === 'running'; await sleep(100))
    assert.ok(Date.now() < deadline, 'the control plane has not heard of the end');
});

test('of volumes that the journal does not know, those go that have nothing in them', { skip: skipInstance, timeout: 300_000 }, async () => {
  await using instance = await startInstance({ poolSizeMib: 512 });
  await using services = await OwnServices.take(instance);
  await services.startBoth();
  const ids: string[] = [];
  for (const name of ['known', 'empty', 'written'])
    ids.push((await services.control.machineCreate({ ...small(name), start: name === 'written' }, whole)).machine!.id);
  await instance.must('exec', 'written', '--', '/bin/sh', '-c', 'echo kept > /srv/file');
  await services.stop('agent');
  // As after a power loss in the middle of a create, whose volume was on disk before its record.
  {
    using journal = new DatabaseSync(join(services.paths.agent, 'journal.db'));
    for (const id of ids.slice(1)) journal.prepare('DELETE FROM machine WHERE id = ?').run(id);
  }
  assert.ok(await services.startAgent());
  await services.reachable();
  const volumes = readdirSync(join(instance.root, 'storage/pool/volumes'));
  assert.deepEqual(
    ids.map((id) => volumes.includes(id)),
    [true, false, true],
  );
});
