/** What fails around the agent and the control plane: programs, disks, helpers, sockets, and a store that is older than the host. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from '../../src/model/event.ts';
import { run, runAny } from '../../src/exec/run.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { random } from '../support/random.ts';
import { seed } from '../support/seed.ts';
import { checkHost } from './agent-crashes.ts';
import { until } from './network-world.ts';
import { SteadyWorld, small, whole } from './steady-world.ts';

describe('faults around a host', { skip: skipInstance, timeout: 900_000 }, () => {
  let world: SteadyWorld;
  let instance: TestInstance;
  let services: OwnServices;
  before(async () => {
    world = await SteadyWorld.make();
    ({ instance, services } = world);
  });
  after(() => world[Symbol.asyncDispose]());

  for (const [what, program, script] of [
    ['crun that fails', '/usr/bin/crun', '#!/bin/sh\necho "broken runtime" >&2\nexit 1\n'],
    ['crun that cannot be run', '/usr/bin/crun', null],
    ['conmon that ends at once', '/usr/bin/conmon', '#!/bin/sh\nexit 1\n'],
    ['conmon that cannot be run', '/usr/bin/conmon', null],
    ['conmon that talks nonsense', '/usr/bin/conmon', '#!/bin/sh\necho "{{{" >&3\n'],
  ] as const)
    test(what, async () => {
      const stand = join(instance.directory, 'stand-in');
      writeFileSync(stand, script ?? '');
      chmodSync(stand, script === null ? 0o600 : 0o755);
      await services.renewAgent({}, { [program]: stand });
      const { job, machine } = await services.control.machineCreate(small('unlucky'), whole);
      assert.equal(job.state, 'failed');
      assert.match(job.reason!, /^creating the first process: /);
      assert.ok(!job.reason!.includes('\n'));
      assert.equal(machine!.state, 'failed');
      await checkHost(instance, services);
      await services.renewAgent();
      if ((await services.agent.machineList()).some(({ spec }) => spec.name === 'unlucky'))
        assert.equal((await services.control.machineStart('unlucky', whole)).job.state, 'succeeded');
      await world.remove('unlucky');
      await world.works('next');
    });

  test('crun that takes too long: nothing of it goes on when that is told', async () => {
    const stand = join(instance.directory, 'stand-in');
    writeFileSync(stand, '#!/usr/bin/perl\nsleep 300;\n');
    chmodSync(stand, 0o755);
    const steady = (await services.agent.machineList()).find(({ spec }) => spec.name === 'steady')!.spec;
    const spec = { ...steady, id: randomUUID(), name: 'unlucky', address: steady.address.replace(/\d+$/, '99') };
    await services.renewAgent({}, { '/usr/bin/crun': stand });
    const itsProcesses = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name) && wordsOf(name).includes(spec.id));
    const made = assert.rejects(services.agent.machineCreate(spec.id, { generation: 1, spec, desired: 'running' }), { message: /the runtime did not answer/ });
    await until(() => itsProcesses().some((pid) => wordsOf(pid).includes('create')));
    await made;
    assert.deepEqual(itsProcesses(), []);
    await checkHost(instance, services);
    await services.agent.machineDelete(spec.id, 2);
    await services.renewAgent();
    await world.works('next');
  });

  test('a full pool refuses, and is itself again when there is room', async () => {
    const filler = join(instance.root, 'storage/pool/filler');
    await runAny('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M', 'oflag=direct']);
    await runAny('dd', ['if=/dev/zero', `of=${filler}2`, 'bs=4k']);
    const { job } = await services.control.machineCreate(small('late'), whole);
    if (job.state === 'failed') assert.match(job.reason!, /space|full|disk/i);
    const snapshot = await services.control.snapshotCreate('steady', { name: 'late' }, whole);
    if (snapshot.job.state === 'failed') assert.match(snapshot.job.reason!, /space|full|disk/i);
    await world.undisturbed();
    await world.remove('late');
    for (const path of [filler, `${filler}2`]) rmSync(path);
    await runAny('sync', ['-f', join(instance.root, 'storage/pool')]);
    if (snapshot.job.state === 'succeeded') await services.control.snapshotDelete('steady', 'late', whole);
    await world.works('roomy');
  });

  test('the helper that makes namespaces killed again and again', async () => {
    const killHelper = async () => {
      const { stdout } = await runAny('ps', ['-o', 'pid=,args=', '--ppid', String(services.pidOf('agent'))]);
      for (const line of stdout.split('\n').filter((text) => text.includes('nsmaker.pl'))) process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL');
    };
    const names = Array.from({ length: 4 }, (_, index) => `many-${index}`);
    const creates = names.map((name) => services.control.machineCreate(small(name), whole));
    for (let round = 0; round < 5; round += 1) {
      await killHelper();
      await sleep(50);
    }
    for (const { job } of await Promise.all(creates)) assert.equal(job.state, 'succeeded', job.reason ?? '');
    for (const name of names) await world.remove(name);
    await world.works('after');
  });

  test('the control plane killed at any moment, with the real agent', async (t) => {
    t.diagnostic(`seed ${seed}`);
    const next = random(seed);
    for (let round = 0; round < 6; round += 1) {
      const accepted: string[] = [];
      const send = async (act: () => Promise<{ job: Job }>) => {
        try {
          accepted.push((await act()).job.id);
        } catch {
          // not acknowledged: it may have been taken or not
        }
      };
      const made = ['one', 'two', 'three'].map((name) => send(() => services.control.machineCreate(small(`${name}-${round}`))));
      await sleep(next(150));
      await services.stop('control', 'SIGKILL');
      await Promise.all(made);
      assert.ok(await services.startControl());
      await services.reachable();
      for (const id of accepted) assert.equal((await world.ended(id)).state, 'succeeded');
      const kept = (await services.control.machineList()).filter(({ name }) => name !== 'steady');
      assert.ok(kept.length >= accepted.length);
      const deletes = kept.map(({ name }) => send(() => services.control.machineDelete(name)));
      await sleep(next(100));
      await services.stop('control', 'SIGKILL');
      await Promise.all(deletes);
      assert.ok(await services.startControl());
      await services.reachable();
      for (const id of accepted) await world.ended(id);
      await world.removeOthers();
      assert.deepEqual(
        (await services.agent.machineList()).map(({ spec }) => spec.name),
        ['steady'],
      );
    }
    await world.works('calm');
  });

  test('a store restored from an old copy takes the host as it is', async () => {
    await services.control.machineCreate(small('older'), whole);
    const copy = join(instance.directory, 'copy');
    await services.stop('control');
    cpSync(services.paths.control, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    assert.ok(await services.startControl());
    await services.reachable();
    await services.control.machineCreate(small('newer'), whole);
    await services.control.machineStop('steady', {}, whole);
    await services.control.machineStart('steady', whole);
    await world.restarted();
    await world.remove('older');
    const pids = (await world.running()).map(({ pid }) => pid);
    await services.stop('control');
    for (const name of readdirSync(services.paths.control)) if (!name.endsWith('.sock')) rmSync(join(services.paths.control, name), { recursive: true });
    await runAny('cp', ['-a', `${copy}/.`, services.paths.control]);
    await runAny('chown', ['-R', `${services.config.user.uid}:${services.config.user.gid}`, services.paths.control]);
    assert.ok(await services.startControl());
    await services.reachable();
    const known = new Map((await services.control.machineList()).map((machine) => [machine.name, machine]));
    assert.deepEqual([...known.keys()].toSorted(), ['newer', 'older', 'steady']);
    assert.deepEqual(
      ['newer', 'older', 'steady'].map((name) => known.get(name)!.state),
      ['running', 'failed', 'running'],
    );
    assert.match(known.get('older')!.error!, /does not know/);
    assert.deepEqual(
      (await world.running()).map(({ pid }) => pid),
      pids,
      'nothing was restarted',
    );
    // All of them can be worked with, though the copy's generations were older.
    assert.equal((await services.control.machineResize('steady', { resources: { processes: 500 } }, whole)).job.state, 'succeeded');
    for (const name of ['newer', 'older']) await world.remove(name);
    await world.works('again');
  });

  test('the socket of the agent gone, then the agent', async () => {
    rmSync(services.paths.agentSocket);
    const { job } = await services.control.machineCreate(small('patient'), { wait: 1 }).catch(() => ({ job: null }));
    assert.ok(
      (await services.control.machineList()).some(({ name }) => name === 'steady'),
      'what is known is still told',
    );
    await services.stop('agent', 'SIGKILL');
    assert.ok(!existsSync(services.paths.agentSocket));
    assert.ok(await services.startAgent());
    await services.reachable();
    if (job !== null) assert.equal((await world.ended(job.id)).state, 'succeeded');
    if ((await services.control.machineList({ name: 'patient' })).length > 0) await world.remove('patient');
    await world.works('reached');
  });

  test('an end that nobody watched is judged by the restart policy', async () => {
    const once = {
      ...small('once'),
      command: ['/bin/sh', '-c', 'echo ran >> /srv/ran; sleep 2; exit 3'],
      restart: { policy: 'never' as const, maxRetries: null },
    };
    const { machine } = await services.control.machineCreate(once, whole);
    await services.stop('agent', 'SIGKILL');
    await sleep(4000);
    assert.ok(await services.startAgent());
    const found = await services.agent.machineGet(machine!.id);
    assert.deepEqual([found.exit?.code, found.desired, found.state], [3, 'stopped', 'failed']);
    assert.equal(readFileSync(join(instance.root, 'storage/pool/volumes', machine!.id, 'upper/srv/ran'), 'utf8'), 'ran\n');
    await services.reachable();
    await world.remove('once');
    await world.works('last');
  });

  test('a stop that the agent did not live to see goes on with its grace period', async () => {
    const script = `trap 'sleep 2; echo whole > /srv/end; exit 0' TERM; while :; do sleep 0.1; done`;
    const { machine } = await services.control.machineCreate({ ...small('careful'), command: ['/bin/sh', '-c', script], stopGraceSeconds: 20 }, whole);
    const { job } = await services.control.machineStop('careful');
    await sleep(500);
    await services.stop('agent', 'SIGKILL');
    assert.ok(await services.startAgent());
    await services.reachable();
    assert.equal((await world.ended(job.id)).state, 'succeeded');
    assert.equal(readFileSync(join(instance.root, 'storage/pool/volumes', machine!.id, 'upper/srv/end'), 'utf8'), 'whole\n');
    await world.remove('careful');
  });
});

test('a journal that was lost costs no data', { skip: skipInstance, timeout: 300_000 }, async () => {
  await using instance = await startInstance({ poolSizeMib: 512 });
  await using services = await OwnServices.take(instance);
  await services.startBoth();
  const { machine } = await services.control.machineCreate(small('kept'), whole);
  await services.stop('agent');
  for (const name of readdirSync(services.paths.agent)) if (name.startsWith('journal.db')) rmSync(join(services.paths.agent, name));
  assert.ok(await services.startAgent());
  assert.ok(existsSync(join(instance.root, 'storage/pool/volumes', machine!.id, 'upper')));
});

test('a host disk that is full stops nothing that runs', { skip: skipInstance, timeout: 300_000 }, async () => {
  await using disk = await smallDisk();
  const { mountPoint } = disk;
  {
    await using instance = await startInstance({ poolSizeMib: 512, under: mountPoint });
    await using services = await OwnServices.take(instance);
    await services.startBoth();
    const { machine } = await services.control.machineCreate(small('steady'), whole);
    const before = (await services.agent.machineGet(machine!.id)).pid;
    const filler = join(mountPoint, 'filler');
    await runAny('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k']);
    await runAny('dd', ['if=/dev/zero', `of=${filler}2`, 'bs=1k']);
    assert.equal(statfsSync(mountPoint).bavail, 0);
    const outcome = await services.control.machineCreate(small('late'), whole).then(
      ({ job }) => job.reason ?? '',
      (error: Error) => error.message,
    );
    // Either it fits into what the databases have already, or it is refused in so many words.
    if (outcome !== '') assert.match(outcome, /full|space|disk/i);
    assert.equal((await services.agent.machineGet(machine!.id)).pid, before);
    assert.equal(services.agentProcess!.end, null, 'the agent lives');
    for (const path of [filler, `${filler}2`]) rmSync(path);
    await services.reachable();
    for (const { name } of await services.control.machineList()) assert.equal((await services.control.machineDelete(name, whole)).job.state, 'succeeded');
    const { job } = await services.control.machineCreate(small('roomy'), whole);
    assert.equal(job.state, 'succeeded', job.reason ?? '');
  }
});

/** An ext4 of its own in a file, mounted. */
const smallDisk = async (): Promise<{ mountPoint: string } & AsyncDisposable> => {
  const directory = mkdtempSync(join(tmpdir(), 'd'));
  chmodSync(directory, 0o755);
  const [image, mountPoint] = [join(directory, 'image'), join(directory, 'm')];
  mkdirSync(mountPoint);
  await run('truncate', ['--size', '3G', image]);
  await run('mkfs.ext4', ['-q', '-m', '0', image]);
  await run('mount', ['-o', 'loop', image, mountPoint]);
  return {
    mountPoint,
    [Symbol.asyncDispose]: async () => {
      await run('umount', [mountPoint]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
};

const wordsOf = (pid: string): string[] => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // it has ended
  }
};
