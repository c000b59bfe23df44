/**
 * Machines take all CPU and all memory of the pool, and more, while Cenote keeps its services itself (no systemd; for that see test/virtual):
 * they keep their rank in the kernel, answer, make and take away machines, and none of them is killed.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { ControlClient } from '../../src/client/control.ts';
import { detectLayout } from '../../src/host/cgroup/layout.ts';
import { ownGroup } from '../../src/host/cgroup/parent.ts';
import { instancePaths } from '../../src/model/instance.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { runsSystemd } from '../../src/setup/host-view.ts';
import { serviceGroup } from '../../src/setup/service-group.ts';
import { servicePidPath } from '../../src/setup/supervisor.ts';
import { recallProcess } from '../../src/sys/process-identity.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import { kernelMemory } from '../support/kernel-memory.ts';
import { MemoryTaker, memoryMachineCommand } from '../support/memory-machine.ts';

const skip = skipInstance || (runsSystemd() ? 'systemd keeps the services of this host' : false);
const services = ['agent', 'control'] as const;
const fewest = 10;
const wait = 120;
const threads = 64;
const busy = `fork or last for 2 .. ${threads}; 1 while 1`;
const poolMib = 512;

test('agent and control plane answer while machines take all CPU and memory', { skip, timeout: 600_000 }, async (context) => {
  const instance = await startInstance({ poolSizeMib: 1024, cpuMillis: 1000, memoryMib: poolMib });
  after(async () => assert.deepEqual(await instance.destroy(), []));
  const paths = instancePaths(instance.root);
  using control = new ControlClient(paths.controlSocket);
  const pidOf = (service: (typeof services)[number]): number => recallProcess(servicePidPath(paths, service))!.pid;
  const pids = services.map(pidOf);
  const make = async (name: string, command: readonly string[], resources: object): Promise<Machine> => {
    const { job, machine } = await control.machineCreate({ name, command: [...command], resources, stopGraceSeconds: 1 }, { wait });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
    return machine!;
  };

  // All that the instance may guarantee, so that machines weigh as much as they ever can.
  await make('busy', ['/usr/bin/perl', '-e', busy], { cpuMillis: 450, memoryMib: 64, diskMib: 16, processes: 100 });
  const greedy = await make('greedy', memoryMachineCommand, { cpuMillis: 500, memoryMib: 64, diskMib: 16 });
  checkRanks(instance.instance, pids, greedy.id);

  // Takes until it is killed at the pool's limit, or holds all of it, and begins anew.
  let taken = 0;
  let isOver = false;
  let current: MemoryTaker | null = null;
  const takes = (async () => {
    while (!isOver) {
      using taker = await MemoryTaker.at(greedy.address);
      current = taker;
      for (let mib = 0; mib < 2 * poolMib && !isOver; mib += 64) {
        const took = await taker.take('own', 64).catch(() => null);
        if (took === null) break;
        taken += 64;
      }
      if (!isOver) await taker.check().catch(() => null);
    }
  })();
  after(() => {
    isOver = true;
    current?.[Symbol.dispose]();
    return takes.catch(() => undefined);
  });
  const answers: number[] = [];
  const deadline = performance.now() + 300_000;
  for (let round = 0; round < fewest || (performance.now() < deadline && taken < 2 * poolMib); round += 1) {
    const begunMs = performance.now();
    const [info] = await Promise.all([control.info(), control.machineList(), control.pool()]);
    assert.ok(info.agent !== null, 'the control plane has its agent');
    answers.push(performance.now() - begunMs);
    const { id } = await make(`guest-${round}`, ['/bin/sleep', '1000'], { cpuMillis: 5, memoryMib: 16, diskMib: 16 });
    const { job } = await control.machineDelete(id, { wait });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
  }
  context.diagnostic(`three questions at once: ${answers.map((ms) => Math.round(ms)).join(', ')} ms; ${taken} MiB taken meanwhile`);
  assert.ok(taken >= 2 * poolMib, 'there was no need');
  assert.deepEqual(services.map(pidOf), pids, 'a service was started anew');
  assert.equal(kernelMemory(instance.instance, '').limitMib, poolMib);
});

/** Their groups weigh more than all machines together, are the last to be swapped, and machines are killed before them. */
const checkRanks = (instance: string, pids: readonly number[], machine: string): void => {
  const { v1, unified } = detectLayout();
  const cpu = v1.get('cpu') ?? unified!;
  const file = v1.has('cpu') ? 'cpu.shares' : 'cpu.weight';
  const weightOf = (group: string): number => Number(readFileSync(`${cpu}${group}/${file}`, 'utf8'));
  assert.ok(weightOf(serviceGroup(instance)) > weightOf(ownGroup(instance)));
  const inMachine = readFileSync(`${v1.get('pids') ?? unified!}${ownGroup(instance)}/${machine}/cgroup.procs`, 'utf8').split('\n')[0];
  for (const pid of pids) {
    assert.match(
      readFileSync(`/proc/${pid}/cgroup`, 'utf8'),
      new RegExp(`^\\d+:${v1.has('cpu') ? '[^:]*\\bcpu\\b[^:]*' : ''}:${serviceGroup(instance)}/`, 'm'),
    );
    assert.ok(scoreOf(pid) < scoreOf(inMachine!));
  }
  const swappiness = `${v1.get('memory') ?? ''}${serviceGroup(instance)}/memory.swappiness`;
  if (existsSync(swappiness)) assert.equal(Number(readFileSync(swappiness, 'utf8')), 1);
};

const scoreOf = (pid: number | string): number => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
