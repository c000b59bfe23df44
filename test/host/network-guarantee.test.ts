/**
 * Network guarantees of real machines, from `up --net-capacity` to `destroy`: what each gets of a full uplink, also while the agent is dead. The
 * uplink is a link of the test's own; no device of the host is touched.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CreateMachine } from '../../src/model/control-api.ts';
import { run, runAny } from '../../src/exec/run.ts';
import { runsSystemd } from '../../src/setup/host-view.ts';
import { auditHost } from '../support/audit.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { createUplink, floodFrom, floodTcp, floodUdp, holds, rates } from './flood.ts';
import type { TestUplink } from './flood.ts';
import { until } from './network-world.ts';

const capacityMbps = 100;
/** Of a guarantee, as payload arrives: on a busy host who sends may not have the processor all the time. */
const enough = 0.75;
const device = `cgu${process.pid % 1_000_000}`;

describe('network guarantees', { skip: skipInstance, timeout: 600_000 }, () => {
  let uplink: TestUplink;
  let instance: TestInstance;
  let services: OwnServices;
  /** Of their first processes. */
  const pids: number[] = [];
  const up = ['up', '--no-hello'];

  const create = async (networkMbps: number, more: Partial<CreateMachine> = {}): Promise<void> => {
    const name = `m${pids.length}`;
    const resources = { diskMib: 32, memoryMib: 32, cpuMillis: 10, networkMbps, networkCeilingMbps: 95 };
    const command = ['/bin/sleep', '1000000'];
    const { job, machine } = await services.control.machineCreate({ name, command, resources, stopGraceSeconds: 0, ...more }, { wait: 120 });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
    const { pid } = (await services.agent.machineList()).find(({ id }) => id === machine!.id)!;
    pids.push(pid!);
  };
  const flood = (index: number): Promise<unknown> => floodFrom(pids[index]!, index === 0 ? floodUdp : floodTcp, uplink.there, index, 5);
  /** What these get while all of them send. */
  const shares = async (who: readonly number[], meanwhile: () => Promise<unknown> = async () => {}): Promise<number[]> => {
    const sending = Promise.all(who.map((index) => flood(index)));
    await sleep(1000);
    await meanwhile();
    const got = await rates(uplink.counted, 2000);
    await sending;
    return got;
  };
  const hasAtLeast = (got: readonly number[], index: number, mbps: number): void =>
    assert.ok(got[index]! > mbps * enough, `${mbps} Mbit/s were promised, of ${got.map((rate) => rate.toFixed(1)).join(', ')}`);
  const haveAtLeast = (got: readonly number[], all: readonly number[]): void => {
    for (const [index, mbps] of all.entries()) hasAtLeast(got, index, mbps);
  };
  /** What is left to borrow as well, so it is as 1 to 2 to 4; without classes all would have the same. */
  const isInProportion = ([first, second, third]: readonly number[]): void =>
    assert.ok(second! > first! * 1.4 && third! > second! * 1.4, `${first}, ${second} and ${third} Mbit/s are not as 10, 20 and 40`);
  const queues = async (): Promise<string> => (await runAny('tc', ['qdisc', 'show', 'dev', device])).stdout;
  const rootRate = async (): Promise<string | undefined> => /root .*rate (\S+)/.exec(await run('tc', ['class', 'show', 'dev', device]))?.[1];

  before(async () => {
    // Of the range for benchmarks; another test at the same time has another.
    uplink = await createUplink(device, `198.19.${process.pid % 250}`, 8);
    instance = await startInstance({ poolSizeMib: 1024 });
    await instance.must(...up, '--net-capacity', `${capacityMbps}`, '--uplink', device);
    services = await OwnServices.take(instance);
    await services.startBoth();
    for (const guarantee of [10, 20, 40]) await create(guarantee);
  });
  after(async () => {
    await services[Symbol.asyncDispose]();
    await instance[Symbol.asyncDispose]();
    const left = await queues();
    await uplink[Symbol.asyncDispose]();
    assert.doesNotMatch(left, /htb/, 'the default queue is back');
  });

  test('each has his own, and all of it that others do not use', async (context) => {
    const got = await holds(
      () => shares([0, 1, 2]),
      (seen) => {
        haveAtLeast(seen, [10, 20, 40]);
        isInProportion(seen);
      },
    );
    context.diagnostic(got.join(' '));
    await holds(
      () => shares([0]),
      (seen) => hasAtLeast(seen, 0, 85),
    );
    const seen = (await auditHost([instance.root])).queues.filter((line) => line.startsWith(`${device} has htb ce`));
    assert.match(seen.join('\n'), new RegExp(`^\\S+ has htb ce\\w\\w: \\[${instance.instance}\\]$`), 'one that were left would be seen');
  });

  test('it holds while the agent is dead, and the next one takes it over', async (context) => {
    const got = await holds(
      () => shares([0, 1, 2], () => services.stop('agent', 'SIGKILL')),
      (seen) => {
        haveAtLeast(seen, [10, 20, 40]);
        isInProportion(seen);
      },
    );
    context.diagnostic(got.join(' '));
    assert.ok(await services.startAgent());
    await services.reachable();
    const { network } = await services.agent.info();
    assert.deepEqual(network.uplinks, [{ device, capacityMbps, lacks: null }]);
    await holds(
      () => shares([0, 1, 2]),
      (seen) => haveAtLeast(seen, [10, 20, 40]),
    );
  });

  test('a resize moves the share; more than there is is refused', async () => {
    await instance.must('resize', 'm2', '--net', '5');
    await instance.must('resize', 'm0', '--net', '50');
    await holds(
      () => shares([0, 1, 2]),
      (seen) => haveAtLeast(seen, [50, 20]),
    );
    assert.match(await instance.refused('resize', 'm2', '--net', '26'), /not enough network: asked for 26 Mbit\/s, 25 Mbit\/s at most/);
    await instance.must('resize', 'm0', '--net', '10');
    await instance.must('resize', 'm2', '--net', '25');
  });

  test('an agent that is killed in the middle of a resize leaves it to be done again', async () => {
    const classOf = async (): Promise<string | undefined> => /:\w+ parent \S+ .*rate (1[0-9]Mbit)/.exec(await run('tc', ['class', 'show', 'dev', device]))?.[1];
    // Before its class is another, and when it is, and not yet on record.
    for (const [point, wanted] of [
      [2, 12],
      [3, 13],
    ] as const) {
      await services.stop('agent');
      assert.ok(await services.startAgent({ CENOTE_CRASH_AT: `ready:${point}` }));
      await services.reachable();
      const resized = services.control.machineResize('m0', { resources: { networkMbps: wanted } }, { wait: 60 });
      await services.agentProcess!.ended;
      assert.ok(await services.startAgent());
      assert.equal((await resized).job.state, 'succeeded');
      assert.equal(await classOf(), `${wanted}Mbit`);
    }
    await services.reachable();
    await instance.must('resize', 'm0', '--net', '10');
  });

  test('machines on a fabric network have what they have together', async (context) => {
    await instance.must('network', 'create', 'back', '--subnet', '192.168.10.0/24');
    await create(15, { networks: [{ network: 'back' }] });
    await create(15, { networks: [{ network: 'back' }] });
    const got = await holds(
      () => shares([0, 1, 2, 3, 4]),
      (seen) => {
        haveAtLeast(seen, [10, 20, 25]);
        assert.ok(seen[3]! + seen[4]! > 22, `two of a network had ${seen[3]} and ${seen[4]}`);
      },
    );
    context.diagnostic(got.join(' '));
    await instance.must('delete', 'm3', 'm4', '--yes');
    const classes = await run('tc', ['class', 'show', 'dev', device]);
    assert.doesNotMatch(classes, /rate (15|30)Mbit/, 'what is not there is guaranteed nothing');
  });

  test('cenote pool tells what the uplink does', async () => {
    const { resources } = await instance.json<{ resources: Record<string, unknown>[] }>('pool');
    const { capacity, reserve, guaranteed, left, free } = resources.find(({ resource }) => resource === 'network')!;
    assert.deepEqual({ capacity, reserve, guaranteed, left }, { capacity: 100, reserve: 5, guaranteed: 55, left: 40 });
    assert.ok(typeof free === 'number' && free > 50, `${String(free)} Mbit/s are free`);
    assert.match(await instance.must('info'), new RegExp(`held on ${device}`));
  });

  test('a device that is another’s is refused, with the name', async () => {
    await using other = await startInstance({ poolSizeMib: 640, memoryMib: 256, cpuMillis: 50 });
    assert.match(await other.refused(...up, '--net-capacity', '10', '--uplink', device), new RegExp(`${device} is shaped by instance "${instance.instance}"`));
    assert.match(await other.refused(...up, '--net-capacity', '10', '--uplink', 'nosuch0'), /no network device nosuch0/);
    assert.match(await other.refused(...up, '--uplink', device), /none is said/);
    const link = `cgx${process.pid % 1_000_000}`;
    await run('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', `${link}p`]);
    try {
      await run('tc', ['qdisc', 'add', 'dev', link, 'root', 'handle', '9:', 'tbf', 'rate', '1mbit', 'burst', '10k', 'limit', '10k']);
      assert.match(
        await other.refused(...up, '--net-capacity', '10', '--uplink', link),
        new RegExp(`${link} has a root queue that somebody else made \\(tbf 9:\\)`),
      );
    } finally {
      await run('ip', ['link', 'del', link]);
    }
  });

  test('another capacity, none, and without machines', { skip: runsSystemd() ? 'units are not restarted by hand here' : false }, async () => {
    assert.match(await instance.refused(...up, '--net-capacity', '50'), /machines are guaranteed 55 Mbit\/s; of 50 Mbit\/s 47 can be/);
    await services[Symbol.asyncDispose]();
    await instance.must(...up, '--net-capacity', '200');
    await until(async () => (await rootRate()) === '200Mbit');
    await instance.must('down', '--machines');
    assert.doesNotMatch(await queues(), /htb/);
    await instance.must(...up);
    await until(async () => (await rootRate()) === '200Mbit');
    await instance.must(...up, '--net-capacity', 'none');
    await until(async () => !/htb/.test(await queues()));
  });
});
