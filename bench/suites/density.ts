/** A thousand machines on one host, each answering: what they cost, what they cost when nothing happens, and what an agent's death does to them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { detectLayout } from '../../src/host/cgroup/layout.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { metOrNot, mib, ms, rate } from '../lib/format.ts';
import { memoryTable } from '../lib/host.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { burst, demandAll } from '../lib/measure.ts';
import { installPackages } from '../lib/packages.ts';
import { childrenOf, cpuMs, parentOf, pssMib, servicePid } from '../lib/processes.ts';
import { summarise } from '../lib/statistics.ts';
import type { Row, Suite } from '../lib/suite.ts';
import { answering, webMachine } from '../lib/web.ts';
import { listTimes } from './list.ts';
import { restartAgent } from './restart.ts';

const settleMs = 10_000;
const atOnce = 16;

export const densitySuite: Suite = {
  name: 'density',
  title: 'A thousand machines',
  method:
    'Machines of image `base` that run busybox httpd; each must answer with its own name. Memory beyond their own processes: the difference in MemAvailable, before the first (with the caches dropped) and 10 s after the ' +
    'last, less the PSS of the processes inside; the growth of agent and control plane is in it. Idle CPU: user and kernel time of agent, its helper and control plane over a minute in which nothing is asked. ' +
    'The agent is killed with SIGKILL and brought back by the supervisor; undisturbed means: same processes, all answering.',
  run: async (bench) => {
    await installPackages(bench, ['busybox-static']);
    const instance = await bench.instance();
    const count = bench.count(1000, 24);
    const machines: Machine[] = [];
    // A first one pays for what all share: page cache of programs, the agent's compiled code.
    await instance.remove((await instance.create(webMachine('density-first'))).id);
    await sleep(settleMs);
    // What other suites left in the kernel's caches would be given up meanwhile, and pass for memory that machines do not take.
    writeFileSync('/proc/sys/vm/drop_caches', '3');

    const before = memoryNow(instance);
    const started = await burst(count, atOnce, async (index) => machines.push(await instance.create(webMachine(`density-${index}`))));
    demandAll(`start of ${count} machines`, started);
    const lastRate = summarise(started.samples.slice(-100));
    bench.note(`${count} started, ${rate(started.perSecond)}`);
    const first = await answering(machines);
    if (first.count < count) throw new Error(`only ${first.count} of ${count} answer: ${first.firstFailure}`);
    await sleep(settleMs);
    const after = memoryNow(instance);
    const pids = await pidsOf(instance);
    const inside = sum(pids.map(pssMib));
    const monitors = sum(pids.map((pid) => pssMib(parentOf(pid))));
    const beyond = (before.available - after.available - inside) / count;
    bench.note(`${mib(beyond)} each beyond ${mib(inside / count)} of its own`);

    const listing = await listTimes(instance, bench.count(20, 5));
    const idle = await idleCpu(instance, bench.count(60, 10));
    bench.note(`idle: ${idle.percent.toFixed(2)} % of a core`);
    const restart = await restartAgent(instance, machines);
    bench.note(`agent serving again ${ms(restart.servingMs)} after SIGKILL`);
    const stopped = await burst(count, atOnce, (index) => instance.remove(machines[index]!.id));
    demandAll(`delete of ${count} machines`, stopped);

    const rows: Row[] = [
      {
        what: `${count} machines started, ${atOnce} at once`,
        value: `${rate(started.perSecond)}, the last hundred p50 ${ms(lastRate.p50)}`,
        note: `${first.count} of ${count} answer`,
      },
      { what: 'memory of one beyond its own process', value: mib(beyond), note: metOrNot(beyond <= 1.2, '<= 1.2 MiB') },
      {
        what: 'of it the monitor (conmon, PSS)',
        value: mib(monitors / count),
        note: `inside ${mib(inside / count)}; control group counts ${mib((after.group - before.group) / count)}; kernel slab ${mib((after.slab - before.slab) / count)}, per-CPU ${mib((after.perCpu - before.perCpu) / count)}, stacks and tables ${mib((after.stacks - before.stacks) / count)}`,
      },
      { what: 'growth of agent and control plane (RSS)', value: `${mib(after.agent - before.agent)}, ${mib(after.control - before.control)}` },
      {
        what: `\`cenote ls\` of ${count}, whole command`,
        value: `p50 ${ms(listing.p50)}, p99 ${ms(listing.p99)}`,
        note: metOrNot(listing.p50 <= 150, '<= 150 ms'),
      },
      {
        what: 'agent, helper and control plane while all idle',
        value: `${idle.percent.toFixed(2)} % of a core`,
        against: idle.parts,
        note: `${metOrNot(idle.percent <= 2, '<= 2 %')}; the agent, whose part the governor is, ${metOrNot(idle.agent <= 1, '<= 1 %')}`,
      },
      {
        what: `agent killed with ${count} machines`,
        value: `serving again after ${ms(restart.servingMs)}; control plane in step after ${ms(restart.inStepMs)}`,
        against: `a fresh process needs ${ms(restart.processMs)} of it`,
        note: `${metOrNot(restart.servingMs <= 2000 && restart.disturbed === 0, '<= 2 s, none disturbed')}; ${restart.disturbed} disturbed`,
      },
      { what: `${count} deleted, ${atOnce} at once`, value: `${rate(stopped.perSecond)}, ${stopped.seconds.toFixed(1)} s in all` },
    ];
    return {
      rows,
      data: {
        count,
        before,
        after,
        inside,
        monitors,
        beyond,
        started: { ...summarise(started.samples), perSecond: started.perSecond },
        listing,
        idle,
        restart,
        stopped: stopped.perSecond,
      },
    };
  },
};

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const pidsOf = async ({ agent }: BenchInstance): Promise<number[]> => (await agent.machineList()).flatMap(({ pid }) => (pid === null ? [] : [pid]));

const memoryNow = ({ agentPidFile, controlPidFile, host }: BenchInstance) => {
  const table = memoryTable();
  const at = (name: string) => table[name] ?? 0;
  const rss = (file: string) => memoryTable(`/proc/${servicePid(file)}/status`)['VmRSS'] ?? 0;
  return {
    available: at('MemAvailable'),
    slab: at('Slab'),
    perCpu: at('Percpu'),
    stacks: at('KernelStack') + at('PageTables'),
    group: groupMib(host.instance),
    agent: rss(agentPidFile),
    control: rss(controlPidFile),
  };
};

/** What the control group of all machines counts. */
const groupMib = (instance: string): number => {
  const { v1, unified } = detectLayout();
  const memory = v1.get('memory');
  const file = memory === undefined ? join(unified ?? '', `cenote-${instance}`, 'memory.current') : join(memory, `cenote-${instance}`, 'memory.usage_in_bytes');
  return Number(readFileSync(file, 'utf8')) / 2 ** 20;
};

const idleCpu = async ({ agentPidFile, controlPidFile }: BenchInstance, seconds: number): Promise<{ percent: number; agent: number; parts: string }> => {
  await sleep(5000);
  const agent = servicePid(agentPidFile);
  const pids = { agent, helper: childrenOf(agent)[0], 'control plane': servicePid(controlPidFile) };
  const taken = () => Object.entries(pids).map(([name, pid]) => ({ name, cpu: pid === undefined ? 0 : cpuMs(pid) }));
  const before = taken();
  await sleep(seconds * 1000);
  const percents = taken().map(({ name, cpu }, index) => ({ name, percent: (cpu - before[index]!.cpu) / (seconds * 10) }));
  return {
    percent: sum(percents.map(({ percent }) => percent)),
    agent: percents[0]!.percent,
    parts: percents.map(({ name, percent }) => `${name} ${percent.toFixed(2)} %`).join(', '),
  };
};
