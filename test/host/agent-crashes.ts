/**
 * The agent killed at every point of every action, twice: once in the action, and once more in what follows (recovery, or the repeat of the
 * action). The control plane runs all the while, so its job has to be carried to its end. After each, the host must agree with what was
 * acknowledged, a machine that had nothing to do with it must not have noticed, and nothing may be left of what was half done.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runAny } from '../../src/exec/run.ts';
import { monitorsName } from '../../src/host/cgroup/parent.ts';
import type { Accepted } from '../../src/model/control-api.ts';
import type { MachineStatus } from '../../src/model/machine.ts';
import { addressesOf, externalNetwork, nicsOf } from '../../src/model/nics.ts';
import type { OwnServices } from '../support/own-services.ts';
import type { TestInstance } from '../support/instance.ts';
import { random } from '../support/random.ts';

const target = 'target';
const bystander = 'bystander';
const sleeper = ['/bin/sleep', '1000000'];
/** With its firewall on, so that there is a table that may be wrong. */
const small = { name: target, command: sleeper, resources: { diskMib: 256 }, stopGraceSeconds: 1, firewallEnabled: true };
/** Below those that the kernel gives to anybody. */
const publishedPort = 21_313;
const jobTimeoutMs = 90_000;
const monitorEndMs = 60_000;
/** More points than any action has, recovery and repeat included. */
const mostPoints = 400;
/** What most actions have. */
const usualPoints = 20;

interface Action {
  /** Brings the target to where the action begins. */
  prepare?: (services: OwnServices) => Promise<unknown>;
  act: (services: OwnServices) => Promise<Accepted>;
  /** How many points it has at least, for a choice by chance to hit one; by default `usualPoints`. */
  points?: number;
  /** How the job ends; by default it succeeds. */
  outcome?: 'succeeded' | 'failed';
  check: (found: MachineStatus | undefined, services: OwnServices) => unknown;
}

const whole = { wait: 60 };
const made = (services: OwnServices, start = true) => services.control.machineCreate({ ...small, start }, whole);
/** The first time only. */
const fabric = (services: OwnServices) => services.control.networkCreate({ name: 'fabric', subnet: '192.168.10.0/24' }).catch(() => {});
const isRunning = (found: MachineStatus | undefined) => assert.equal(found?.state, 'running', found?.error ?? 'it is gone');
const isStopped = (found: MachineStatus | undefined) => assert.equal(found?.state, 'stopped', found?.error ?? 'it is gone');
const isGone = (found: MachineStatus | undefined) => assert.equal(found, undefined);

export const actions: Readonly<Record<string, Action>> = {
  create: {
    act: (services) => services.control.machineCreate({ ...small, publish: [{ hostPort: publishedPort, machinePort: 80, protocol: 'tcp' }] }),
    check: isRunning,
  },
  'create that cannot start': {
    act: (services) => services.control.machineCreate({ ...small, command: ['/no/such/program'] }),
    outcome: 'failed',
    check: (found) => assert.notEqual(found?.state, 'running'),
  },
  'create stopped': { act: (services) => services.control.machineCreate({ ...small, start: false }), check: isStopped },
  start: { prepare: (services) => made(services, false), act: (services) => services.control.machineStart(target), check: isRunning },
  stop: { prepare: made, act: (services) => services.control.machineStop(target), check: isStopped },
  reboot: { prepare: made, act: (services) => services.control.machineReboot(target), check: isRunning },
  resize: {
    prepare: made,
    act: (services) => services.control.machineResize(target, { resources: { diskMib: 300, memoryMib: 48, processes: 77, networkCeilingMbps: 50 } }),
    check: (found, services) => {
      isRunning(found);
      assert.deepEqual([found!.spec.resources.diskMib, found!.spec.resources.memoryMib, found!.spec.resources.processes], [300, 48, 77]);
      assert.equal(processLimit(services, found!.id), '77');
    },
  },
  update: {
    prepare: made,
    act: (services) => services.control.machineUpdate(target, { env: { CHANGED: 'yes' } }),
    check: (found) => {
      isRunning(found);
      assert.equal(found!.spec.env['CHANGED'], 'yes');
    },
  },
  'create on a fabric': {
    prepare: fabric,
    act: (services) =>
      services.control.machineCreate({ ...small, networks: [{ network: 'fabric' }], publish: [{ hostPort: publishedPort, machinePort: 80, protocol: 'tcp' }] }),
    check: isRunning,
  },
  'a NIC more': {
    prepare: async (services) => {
      await fabric(services);
      await made(services);
    },
    act: (services) => services.control.machineNicAdd(target, { network: 'fabric', primary: true }),
    points: 8,
    check: (found) => {
      isRunning(found);
      assert.deepEqual(
        nicsOf(found!.spec).map(({ index, primary }) => [index, primary]),
        [
          [0, false],
          [1, true],
        ],
      );
    },
  },
  'a NIC less': {
    prepare: async (services) => {
      await fabric(services);
      await services.control.machineCreate({ ...small, networks: [{ network: 'fabric' }, { network: 'default' }] }, whole);
    },
    act: async (services) => {
      const nics = await services.control.machineNicList(target);
      return services.control.machineNicRemove(target, nics.find(({ primary }) => !primary)!.mac);
    },
    points: 5,
    check: (found) => {
      isRunning(found);
      assert.equal(nicsOf(found!.spec).length, 1);
    },
  },
  'an address more': {
    prepare: made,
    act: async (services) => services.control.machineAddressAdd(target, (await services.control.machineNicList(target))[0]!.mac, {}),
    points: 5,
    check: (found) => {
      isRunning(found);
      const [nic] = nicsOf(found!.spec);
      const table = readFileSync(`/proc/${found!.pid}/net/fib_trie`, 'utf8');
      assert.equal(nic!.more?.length, 1);
      for (const address of addressesOf(nic!)) assert.ok(table.includes(`-- ${address}\n`), `${address} inside`);
    },
  },
  'update that is undone': {
    prepare: made,
    act: (services) => services.control.machineUpdate(target, { command: ['/bin/false'] }),
    outcome: 'failed',
    check: (found) => {
      isRunning(found);
      assert.deepEqual(found!.spec.command, sleeper);
    },
  },
  snapshot: {
    prepare: made,
    act: (services) => services.control.snapshotCreate(target, { name: 'one' }),
    points: 5,
    check: async (found, services) => {
      isRunning(found);
      assert.deepEqual(
        (await services.agent.snapshotList(found!.id)).map(({ name }) => name),
        ['one'],
      );
    },
  },
  rollback: {
    prepare: async (services) => {
      await made(services);
      await services.control.snapshotCreate(target, { name: 'one' }, whole);
    },
    act: (services) => services.control.snapshotRollback(target, 'one'),
    check: isRunning,
  },
  rename: {
    prepare: made,
    act: (services) => services.control.machineRename(target, 'renamed'),
    points: 4,
    check: async (found, services) => {
      isGone(found);
      isRunning(await find(services, 'renamed'));
      await services.control.machineRename('renamed', target, whole);
    },
  },
  'create from a snapshot': {
    prepare: (services) => services.control.snapshotCreate(bystander, { name: 'source' }, whole).catch(() => {}), // the first time only
    act: (services) => services.control.machineCreate({ ...small, fromSnapshot: { machine: bystander, name: 'source' } }),
    check: isRunning,
  },
  'delete of a snapshot': {
    prepare: async (services) => {
      await made(services);
      await services.control.snapshotCreate(target, { name: 'one' }, whole);
    },
    act: (services) => services.control.snapshotDelete(target, 'one'),
    points: 3,
    check: async (found, services) => {
      isRunning(found);
      assert.deepEqual(await services.agent.snapshotList(found!.id), []);
    },
  },
  'delete of a running one': {
    prepare: async (services) => {
      await made(services);
      await services.control.snapshotCreate(target, { name: 'one' }, whole);
    },
    act: (services) => services.control.machineDelete(target),
    check: isGone,
  },
};

export interface CrashRun {
  seed: number;
  /** So many points of each action, by chance; without, all of them. */
  perAction?: number | undefined;
  only?: string | undefined;
  note: (text: string) => void;
  signal?: AbortSignal | undefined;
}

/** How many times the agent was killed. */
export const runAgentCrashes = async (instance: TestInstance, services: OwnServices, options: CrashRun): Promise<number> => {
  const next = random(options.seed);
  const { control } = services;
  let kills = 0;
  await services.startBoth();
  await control.machineCreate({ ...small, name: bystander }, whole);
  const before = await find(services, bystander);
  assert.ok(before?.pid);
  for (const [name, action] of Object.entries(actions)) {
    if (options.only !== undefined && name !== options.only) continue;
    let taken = 0;
    for (const point of points(options.perAction, next, action.points ?? usualPoints)) {
      options.signal?.throwIfAborted();
      const crashed = await crashOnce(services, action, point, 1 + next(12));
      const after = await find(services, bystander);
      const where = `${name}, point ${point} (${crashed.join(', then ') || 'passed'})`;
      try {
        assert.equal(after?.state, 'running');
        assert.equal(after.pid, before.pid, 'the bystander was restarted');
        await action.check(await find(services, target), services);
        await checkHost(instance, services);
        await removeTarget(services);
        await checkHost(instance, services);
      } catch (error) {
        throw new Error(`after ${where}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
      kills += crashed.length;
      if (crashed.length > 0) taken += 1;
      else if (options.perAction === undefined) break; // the action is over before this point
    }
    options.note(`${name}: killed at ${taken} points`);
  }
  await control.machineDelete(bystander, whole);
  return kills;
};

const points = (count: number | undefined, next: (below: number) => number, most: number): number[] =>
  count === undefined ? Array.from({ length: mostPoints }, (_, index) => index + 1) : Array.from({ length: count }, () => 1 + next(most));

/** Gives the points at which it died; none when the action was over first. */
const crashOnce = async (services: OwnServices, action: Action, point: number, second: number): Promise<string[]> => {
  await action.prepare?.(services);
  await services.renewAgent({ CENOTE_CRASH_AT: `ready:${point}` });
  const { job } = await action.act(services);
  const points: string[] = [];
  let finished = await endOf(services, job.id);
  for (const again of [`start:${second}`, '']) {
    if (finished !== null) break;
    points.push(lastPoint(services));
    await services.startAgent({ CENOTE_CRASH_AT: again });
    finished = await endOf(services, job.id);
  }
  assert.ok(finished !== null, `the job did not end: killed at ${points.join(', then ')}`);
  assert.equal(finished.state, action.outcome ?? 'succeeded', `${finished.reason ?? ''} (killed at ${points.join(', then ')})`);
  if (services.agentProcess?.end !== null) points.push(lastPoint(services));
  // Whatever is still to come of the plan must not hit what follows.
  await services.renewAgent();
  return points;
};

/** The job once it has ended, or null when the agent died first. */
const endOf = async (services: OwnServices, id: string) => {
  for (const deadline = Date.now() + jobTimeoutMs; Date.now() < deadline; await sleep(20)) {
    const job = await services.control.jobGet(id);
    if (job.state === 'succeeded' || job.state === 'failed') return job;
    if (services.agentProcess!.end !== null) return null;
  }
  throw new Error(`job ${id} did not end within ${jobTimeoutMs / 1000} s: ${JSON.stringify(await services.control.jobGet(id))}`);
};

const find = async (services: OwnServices, name: string): Promise<MachineStatus | undefined> =>
  (await services.agent.machineList()).find(({ spec }) => spec.name === name);

const lastPoint = (services: OwnServices): string =>
  /.*crash point: ([^\n]*)/s.exec(readFileSync(join(services.paths.log, 'agent.log'), 'utf8'))?.[1] ?? 'unknown';

const removeTarget = async (services: OwnServices) => {
  const known = (await services.control.machineList({ name: target }))[0];
  if (known === undefined) return;
  const { job } = await services.control.machineDelete(target, whole);
  assert.equal(job.state, 'succeeded', job.reason ?? '');
};

/** The host has what the agent's machines need, and nothing else. */
export const checkHost = async (instance: TestInstance, services: OwnServices) => {
  const machines = await services.agent.machineList();
  const all = machines.map(({ id }) => id).toSorted();
  const running = machines.filter(({ state }) => state === 'running');
  const ids = running.map(({ id }) => id).toSorted();
  const run = `/run/cenote-${instance.instance}`;
  for (const { id, pid } of running) {
    assert.ok(existsSync(`/proc/${pid}`), `process ${pid} of ${id} is gone`);
    assert.ok(!isFrozen(instance.instance, id), `${id} is frozen`);
  }
  const pool = join(instance.root, 'storage/pool');
  assert.deepEqual(readdirSync(join(pool, 'volumes')).toSorted(), all, 'volumes');
  assert.deepEqual(
    readdirSync(join(pool, 'snapshots')).flatMap((id) => readdirSync(join(pool, 'snapshots', id)).filter((name) => name.startsWith('.'))),
    [],
    'safety snapshots',
  );
  for (const directory of ['bundles', 'files', 'crun']) assert.deepEqual(readdirSync(join(run, directory)).toSorted(), ids, directory);
  for (const directory of ['roots', 'copies']) assert.deepEqual(readdirSync(join(run, directory)), [], directory);
  assert.deepEqual(controlGroups(instance.instance), ids, 'control groups');
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const routers = mounts.flatMap((line) => (line.split(' ')[4] ?? '').split(`${run}/networks/`).slice(1));
  assert.equal(mounts.filter((line) => line.includes(` ${run}/`)).length, routers.length, 'mounts');
  for (const { pid, spec } of running) {
    const names = Array.from(readFileSync(`/proc/${pid}/net/dev`, 'utf8').matchAll(/^ *(eth\d+):/gm), ([, name]) => name!);
    assert.deepEqual(
      names.toSorted(),
      nicsOf(spec)
        .map(({ index }) => `eth${index}`)
        .toSorted(),
      `interfaces of ${spec.name}`,
    );
    for (const { network } of nicsOf(spec)) assert.ok(network === externalNetwork || routers.some((name) => name.endsWith(network)), `no router of ${network}`);
  }
  const ports = JSON.parse(existsSync('/var/lib/cenote-host/ports.json') ? readFileSync('/var/lib/cenote-host/ports.json', 'utf8') : '{}') as Record<
    string,
    { instance: string; machine: string }
  >;
  const held = Object.values(ports).filter((port) => port.instance === instance.instance);
  assert.deepEqual(
    held.map(({ machine }) => machine),
    running.flatMap(({ id, spec }) => spec.publish.map(() => id)),
    'published ports',
  );
  const guarded = machines.filter(({ spec }) => spec.firewallEnabled === true);
  for (const [network, namespace] of [
    [externalNetwork, null] as const,
    ...routers.map((name) => [name.slice(name.indexOf('-') + 1), `${run}/networks/${name}`] as const),
  ]) {
    const inTable = await addressesInFirewall(instance.instance, namespace);
    const here = guarded.flatMap((machine) =>
      nicsOf(machine.spec).flatMap((nic) => (nic.network === network ? addressesOf(nic).map((address) => ({ ...machine, address })) : [])),
    );
    for (const { spec, state, address } of here) assert.ok(state !== 'running' || inTable.has(address), `the firewall of ${spec.name} is not in force`);
    for (const address of inTable)
      assert.ok(
        here.some((machine) => machine.address === address),
        `the firewall judges at ${address}, which no machine has`,
      );
  }
  // One whose machine has just ended writes its last words and goes.
  const deadline = Date.now() + monitorEndMs;
  for (let monitors = await monitorsOf(run); monitors !== ids.length; monitors = await monitorsOf(run)) {
    assert.ok(Date.now() < deadline, `${monitors} monitors of ${ids.length} machines`);
    await sleep(20);
  }
};

const monitorsOf = async (run: string): Promise<number> =>
  (await runAny('ps', ['-eo', 'args'])).stdout.split('\n').filter((line) => line.startsWith('/usr/bin/conmon') && line.includes(`${run}/`)).length;

/** Where packets are judged; empty when there is no table. */
const addressesInFirewall = async (instance: string, namespace: string | null): Promise<Set<string>> => {
  const list = ['nft', 'list', 'map', 'inet', `cenote-${instance}-firewall`, 'receivers'];
  const [program = '', ...args] = namespace === null ? list : ['nsenter', `--net=${namespace}`, ...list];
  const { stdout } = await runAny(program, args);
  return new Set(Array.from(stdout.matchAll(/(\d+\.\d+\.\d+\.\d+) : goto/g), ([, address]) => address!));
};

const freezer = (instance: string, id: string) => [
  `/sys/fs/cgroup/freezer/cenote-${instance}/${id}/freezer.state`,
  `/sys/fs/cgroup/cenote-${instance}/${id}/cgroup.freeze`,
];
const isFrozen = (instance: string, id: string): boolean =>
  freezer(instance, id)
    .filter((path) => existsSync(path))
    .some((path) => ['FROZEN', 'FREEZING', '1'].includes(readFileSync(path, 'utf8').trim()));

const groupDirectories = (instance: string) =>
  [`/sys/fs/cgroup/pids/cenote-${instance}`, `/sys/fs/cgroup/cenote-${instance}`].filter((path) => existsSync(path));
const controlGroups = (instance: string): string[] =>
  groupDirectories(instance).flatMap((path) =>
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .filter((name) => name !== monitorsName)
      .toSorted(),
  );
const processLimit = (services: OwnServices, id: string): string => {
  return readFileSync(join(groupDirectories(services.config.instance)[0]!, id, 'pids.max'), 'utf8').trim();
};
