/** Guarantees on the uplink: what the queue that holds them costs, and whether they hold. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentClient } from '../../src/client/agent.ts';
import { ControlClient } from '../../src/client/control.ts';
import { run } from '../../src/exec/run.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { createUplink, floodFrom, floodUdp, rates } from '../../test/host/flood.ts';
import type { TestUplink } from '../../test/host/flood.ts';
import { startInstance } from '../../test/support/instance.ts';
import type { TestInstance } from '../../test/support/instance.ts';
import { metOrNot, p50p99, times } from '../lib/format.ts';
import { demand } from '../lib/instance.ts';
import { timed } from '../lib/measure.ts';
import { installPackages } from '../lib/packages.ts';
import { summarise } from '../lib/statistics.ts';
import type { Bench, Row, Suite } from '../lib/suite.ts';
import { throughput } from '../lib/throughput.ts';

const device = 'cgbench0';
const guarantees = [10, 20, 40];
const capacityMbps = 100;
/** More than a veth carries: the queue is there, and never full. */
const beyondMbps = 1_000_000;
const wait = { wait: 120 };
const iperfPort = 5201;

export const uplinkSuite: Suite = {
  name: 'uplink',
  title: 'Guarantees on the uplink',
  method:
    'The uplink is a veth into a namespace of the run’s own, with 64 machines of the instance on the host. What the queue costs: one TCP stream out of a machine (iperf3), and create to running through the API, with no capacity named and with one that is never reached, in turns. ' +
    'What it holds: a capacity of 100 Mbit/s, and machines that send as many datagrams as a link of 95 Mbit/s lets through; counted is what arrives, without the headers. HTB has one lock for a device: with many processors it carries less than the multi-queue default of a fast card, which this host cannot show.',
  run: async (bench) => {
    await installPackages(bench, ['iperf3']);
    await using uplink = await createUplink(device, '198.18.254', guarantees.length);
    uplink.outside.follow('iperf3', '--server');
    await using instance = await startInstance({ poolSizeMib: 4096, memoryMib: 3072, cpuMillis: 780, note: bench.note });
    using world = new World(uplink, instance);
    for (let index = 0; index < bench.count(64, 4); index += 1) await world.create(0);
    const cost = await costs(bench, world);
    await world.shape(capacityMbps);
    const shares = await held(bench, world);
    const worst = Math.min(...shares.all.map((rate, index) => rate / guarantees[index]!));
    const [without, shaped] = [Math.max(...cost.without.gbps), Math.max(...cost.shaped.gbps)];
    const starts = { without: summarise(cost.without.createMs), shaped: summarise(cost.shaped.createMs) };
    const rows: Row[] = [
      { what: 'one TCP stream out of a machine, nothing shaped', value: `${without.toFixed(1)} Gbit/s` },
      { what: 'the same through the queue, never full', value: `${shaped.toFixed(1)} Gbit/s`, against: `${times(shaped / without)} of it` },
      { what: 'create to running, nothing shaped', value: p50p99(starts.without) },
      { what: 'the same with a guarantee, and so a class', value: p50p99(starts.shaped), against: `${times(starts.shaped.p50 / starts.without.p50)} of it` },
      {
        what: 'guarantees of 10, 20 and 40 of 100 Mbit/s, all send what they can',
        value: `${shares.all.map((rate) => rate.toFixed(1)).join(', ')} Mbit/s`,
        note: metOrNot(worst >= 0.97, 'each has its guarantee'),
      },
      { what: 'the one of 10 alone', value: `${shares.alone.toFixed(1)} Mbit/s` },
      { what: 'a guarantee of 10 resized to 50 there, all sending', value: `${shares.resized.map((rate) => rate.toFixed(1)).join(', ')} Mbit/s` },
    ];
    return { rows, data: { cost, starts, shares } };
  },
};

class World implements Disposable {
  readonly uplink: TestUplink;
  readonly instance: TestInstance;
  readonly control: ControlClient;
  readonly agent: AgentClient;

  constructor(uplink: TestUplink, instance: TestInstance) {
    const paths = instancePaths(instance.root);
    [this.uplink, this.instance] = [uplink, instance];
    [this.control, this.agent] = [new ControlClient(paths.controlSocket), new AgentClient(paths.agentSocket)];
  }

  async create(networkMbps: number, networkCeilingMbps: number | null = null): Promise<string> {
    const resources = { cpuMillis: 10, memoryMib: 32, diskMib: 32, networkMbps, networkCeilingMbps };
    return demand(await this.control.machineCreate({ command: ['/bin/sleep', '1000000'], stopGraceSeconds: 0, resources }, wait)).id;
  }

  async pidOf(id: string): Promise<number> {
    return (await this.agent.machineList()).find((one) => one.id === id)!.pid!;
  }

  async remove(id: string): Promise<void> {
    await this.control.machineDelete(id, wait);
  }

  /** With another capacity the agent begins anew; machines go on. */
  async shape(capacity: number | null): Promise<void> {
    await this.instance.must('up', '--no-hello', ...(capacity === null ? ['--net-capacity', 'none'] : ['--net-capacity', `${capacity}`, '--uplink', device]));
  }

  [Symbol.dispose](): void {
    this.control[Symbol.dispose]();
    this.agent[Symbol.dispose]();
  }
}

interface Cost {
  gbps: number[];
  createMs: number[];
}

const costs = async (bench: Bench, world: World): Promise<{ without: Cost; shaped: Cost }> => {
  const streaming = await world.create(0);
  const pid = await world.pidOf(streaming);
  const iperf = (...words: string[]): Promise<string> => run('nsenter', ['--net', '--target', String(pid), 'iperf3', ...words], { timeoutMs: 60_000 });
  const measure = async (cost: Cost, networkMbps: number): Promise<void> => {
    cost.gbps.push(await throughput(iperf, world.uplink.there, iperfPort, bench.count(4, 1)));
    for (let index = 0; index < bench.count(60, 6); index += 1) {
      let id = '';
      cost.createMs.push(await timed(async () => (id = await world.create(networkMbps))));
      await world.remove(id);
    }
  };
  const result = { without: { gbps: [], createMs: [] } as Cost, shaped: { gbps: [], createMs: [] } as Cost };
  for (let round = 0; round < bench.count(3, 1); round += 1) {
    await world.shape(null);
    await measure(result.without, 0);
    await world.shape(beyondMbps);
    await measure(result.shaped, 1);
  }
  await world.remove(streaming);
  return result;
};

const held = async (bench: Bench, world: World): Promise<{ all: number[]; alone: number; resized: number[] }> => {
  const { there, counted } = world.uplink;
  const machines: { id: string; pid: number }[] = [];
  for (const guarantee of guarantees) {
    const id = await world.create(guarantee, 95);
    machines.push({ id, pid: await world.pidOf(id) });
  }
  const seconds = bench.count(10, 2);
  const measure = async (senders: number): Promise<number[]> => {
    const sending = Promise.all(machines.slice(0, senders).map(({ pid }, index) => floodFrom(pid, floodUdp, there, index, seconds + 3)));
    await sleep(1500);
    const got = await rates(counted, seconds * 1000);
    await sending;
    return got;
  };
  const all = await measure(machines.length);
  const [alone] = await measure(1);
  await world.control.machineResize(machines[2]!.id, { resources: { networkMbps: 5 } }, wait);
  await world.control.machineResize(machines[0]!.id, { resources: { networkMbps: 50 } }, wait);
  return { all, alone: alone!, resized: await measure(machines.length) };
};
