/** Networks: what a way between machines carries beside a bare veth, what a NIC costs, and two thousand machines on one network. */
import { AgentClient } from '../../src/client/agent.ts';
import { ControlClient } from '../../src/client/control.ts';
import { run } from '../../src/exec/run.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { Place } from '../../test/host/network-world.ts';
import { startInstance } from '../../test/support/instance.ts';
import { metOrNot, ms, p50p99, rate, times } from '../lib/format.ts';
import { demand } from '../lib/instance.ts';
import { burst, demandAll, timed } from '../lib/measure.ts';
import { installPackages } from '../lib/packages.ts';
import { carried } from '../lib/path.ts';
import type { Carried, Ends } from '../lib/path.ts';
import { summarise } from '../lib/statistics.ts';
import type { Summary } from '../lib/statistics.ts';
import type { Bench, Row, Suite } from '../lib/suite.ts';

const wait = { wait: 120 };
/** The least there is: machines that sleep. What two thousand are promised in all is more than two cores. */
const least = { cpuMillis: 1, memoryMib: 4, diskMib: 16 };
const overcommit = ['--overcommit-cpu', '4', '--overcommit-disk', '2'];

export const networksSuite: Suite = {
  name: 'networks',
  title: 'Networks',
  method:
    'Between two machines: on the external network, and on fabric networks of IPv4 and of IPv6; beside a bare veth between two namespaces, in turns, the best of each (what others do on the host only ever takes away). One TCP stream and datagrams of 16 bytes, as many as one sender can (iperf3), with the CPU time that one takes the sender all the way into a socket that nobody reads (the least of 30 rounds of 5,000), and one datagram there and back (median of 20,000). ' +
    'A NIC is added to a running machine, and removed, through the API with wait. Then machines are made on the same fabric network, 8 at once, and the same is measured again beside them.',
  run: async (bench) => {
    await installPackages(bench, ['iperf3']);
    await using instance = await startInstance({
      poolSizeMib: bench.count(20, 2) * 1024,
      memoryMib: bench.count(9, 1) * 1024,
      cpuMillis: 700,
      note: bench.note,
    });
    await instance.must('up', '--no-hello', ...overcommit);
    const paths = instancePaths(instance.root);
    using control = new ControlClient(paths.controlSocket);
    using agent = new AgentClient(paths.agentSocket);
    await instance.must('network', 'create', 'many', '--subnet', '10.200.0.0/16');
    await instance.must('network', 'create', 'six', '--subnet', 'fd00:200::/64');
    const create = async (network: string): Promise<{ id: string; address: string }> => {
      const asked = { image: 'base', resources: least, stopGraceSeconds: 0, networks: [{ network }] };
      return demand(await control.machineCreate(asked, wait));
    };
    const ends = async (network: string): Promise<Ends> => {
      const [one, other] = [await create(network), await create(network)];
      const pids = new Map((await agent.machineList()).map(({ id, pid }) => [id, pid]));
      return { from: pids.get(one.id)!, to: pids.get(other.id)!, address: other.address };
    };
    await using bare = await openBarePair();
    const ways = { bare: bare.ends, external: await ends('default'), fabric: await ends('many'), six: await ends('six') };
    const alone = await inTurns(bench, ways);
    const subject = await create('default');
    const nic = await nicTimes(bench, control, subject.id);
    const count = bench.count(2000, 20);
    const made = await burst(count, 8, () => create('many'));
    demandAll('create', made);
    bench.note(`${count} machines on one network, ${made.perSecond.toFixed(1)} a second`);
    const [first, last] = [made.samples.slice(0, count / 10), made.samples.slice(-count / 10)].map(summarise) as [Summary, Summary];
    const beside = await inTurns(bench, ways);
    const besideNic = await nicTimes(bench, control, subject.id);
    const rows: Row[] = [
      ...rowsOf('', alone),
      { what: 'a NIC added to a running machine', value: p50p99(nic.added), note: metOrNot(nic.added.p99 <= 20, '<= 20 ms') },
      { what: 'a NIC removed', value: p50p99(nic.removed) },
      {
        what: `${count} machines made on one fabric network, 8 at once`,
        value: rate(made.perSecond),
        against: `p50 ${ms(first.p50)} of the first tenth, ${ms(last.p50)} of the last`,
      },
      ...rowsOf(`beside ${count} machines: `, beside),
      { what: `beside ${count} machines: a NIC added`, value: p50p99(besideNic.added), against: `${times(besideNic.added.p50 / nic.added.p50)} of it` },
    ];
    return { rows, data: { alone, nic, count, perSecond: made.perSecond, beside, besideNic } };
  },
};

type Ways = Record<'bare' | 'external' | 'fabric' | 'six', Ends>;
type Measured = Record<keyof Ways, Carried>;

const names = { bare: 'a bare veth', external: 'the external network', fabric: 'a fabric network', six: 'one of IPv6' } as const;

const inTurns = async (bench: Bench, ways: Ways): Promise<Measured> => {
  const best = {} as Measured;
  for (let round = 0; round < bench.count(3, 1); round += 1) {
    for (const way of Object.keys(ways) as (keyof Ways)[]) {
      const now = await carried(ways[way], bench.count(3, 1));
      const former = best[way] ?? now;
      best[way] = {
        gbps: Math.max(former.gbps, now.gbps),
        packetsPerSecond: Math.max(former.packetsPerSecond, now.packetsPerSecond),
        packetUs: Math.min(former.packetUs, now.packetUs),
        roundTripUs: Math.min(former.roundTripUs, now.roundTripUs),
      };
    }
  }
  return best;
};

const rowsOf = (prefix: string, measured: Measured): Row[] => {
  const { bare } = measured;
  return (Object.keys(names) as (keyof Ways)[]).map((way) => {
    const { gbps, packetsPerSecond, packetUs, roundTripUs } = measured[way];
    const [stream, packets] = [gbps / bare.gbps, packetsPerSecond / bare.packetsPerSecond];
    return {
      what: `${prefix}${names[way]}`,
      value: `${gbps.toFixed(1)} Gbit/s, ${(packetsPerSecond / 1000).toFixed(0)},000 small packets a second (${packetUs.toFixed(2)} µs of the sender’s CPU each), ${roundTripUs.toFixed(1)} µs there and back`,
      ...(way === 'bare'
        ? {}
        : {
            against: `${times(stream)}, ${times(packets)} (by CPU ${times(bare.packetUs / packetUs)}), ${(roundTripUs - bare.roundTripUs).toFixed(1)} µs more`,
            note: metOrNot(Math.min(stream, packets) >= 0.9, '>= 0.9 of a bare veth'),
          }),
    };
  });
};

const nicTimes = async (bench: Bench, control: ControlClient, machine: string): Promise<{ added: Summary; removed: Summary }> => {
  const [added, removed]: [number[], number[]] = [[], []];
  for (let round = 0; round < bench.count(50, 5); round += 1) {
    added.push(await timed(async () => demand(await control.machineNicAdd(machine, { network: 'many' }, wait))));
    const { mac } = (await control.machineNicList(machine)).find(({ networkName }) => networkName === 'many')!;
    removed.push(await timed(async () => demand(await control.machineNicRemove(machine, mac, wait))));
  }
  return { added: summarise(added), removed: summarise(removed) };
};

/** Two namespaces and nothing between them but a veth. */
const openBarePair = async (): Promise<{ ends: Ends } & AsyncDisposable> => {
  await using stack = new AsyncDisposableStack();
  const [one, other] = [stack.use(await Place.create('outside')), stack.use(await Place.create('outside'))];
  await run('ip', ['link', 'add', 'benchway0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(other.pid)]);
  await run('ip', ['link', 'set', 'benchway0', 'netns', String(one.pid), 'name', 'eth0']);
  const address = '198.18.253.2';
  for (const [place, own] of [
    [one, '198.18.253.1'],
    [other, address],
  ] as const) {
    await place.run('ip', 'address', 'add', `${own}/24`, 'dev', 'eth0');
    await place.run('ip', 'link', 'set', 'eth0', 'up');
  }
  const held = stack.move();
  return { ends: { from: one.pid, to: other.pid, address }, [Symbol.asyncDispose]: () => held.disposeAsync() };
};
