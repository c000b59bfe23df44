/** The firewall: from a change to its effect on packets, with many rules and machines; and what it costs those who use it, and those who do not. */
import type { CreateMachine } from '../../src/model/control-api.ts';
import { metOrNot, p50p99, times } from '../lib/format.ts';
import { smallResources } from '../lib/instance.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { burst, demandAll, timed } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Summary } from '../lib/statistics.ts';
import type { Row, Suite } from '../lib/suite.ts';
import { Watch, echoCommand, trafficScript, watcherMachine } from '../lib/watcher.ts';

const rule = 'FROM tag role = asking TO tag role = asked ALLOW udp PORT 90';
const everyTcp = 'FROM tag role = asking TO tag role = asked ALLOW tcp PORT 90';
const effectTargetMs = 100;
const wait = { wait: 60 };
const nodeResources = { resources: { ...smallResources, cpuMillis: 30, memoryMib: 64 } };

/** Rules as people have them: about tags, single machines, subnets and ranges. */
const ruleText = (index: number, machines: readonly string[]): string =>
  [
    `FROM any TO vm ${machines[index % machines.length]} ALLOW tcp PORT ${(index % 1000) + 1000}`,
    `FROM tag role = r${index % 20} TO tag role = r${(index * 7) % 20} ALLOW tcp PORT ${(index % 1000) + 1000}`,
    `FROM subnet 172.${index % 250}.0.0/16 TO tag role = r${index % 20} ALLOW tcp PORTS ${(index % 500) + 1000} - ${(index % 500) + 1060}`,
    `FROM ip 192.0.2.${index % 250} TO vm ${machines[index % machines.length]} BLOCK udp PORT all PRIORITY 3`,
  ][index % 4]!;

export const firewallSuite: Suite = {
  name: 'firewall',
  title: 'Firewall',
  method:
    'Half of the machines have their firewall on. One asks another every millisecond by a datagram; timed is from the request at the API to the first answer, and to the last one. Then TCP connections and bytes between the same two, without firewall, with it, and with all rules, in one run.',
  run: async (bench) => {
    const instance = await bench.instance();
    const { client, create, remove, removeAll } = instance;
    const [machineCount, ruleCount, rounds] = [bench.count(1000, 12), bench.count(1000, 60), bench.count(50, 8)];
    const creates = bench.count(50, 8);
    const createTimes = async (options: CreateMachine): Promise<Summary> => {
      const samples: number[] = [];
      for (let index = 0; index < creates; index += 1) {
        let id = '';
        samples.push(await timed(async () => (id = (await create(options)).id)));
        await remove(id);
      }
      return summarise(samples);
    };
    const without = await createTimes({});
    const asked = await create({ name: 'asked', image: 'node', command: echoCommand, tags: { role: 'asked' }, ...nodeResources });
    const asking = await create(watcherMachine('asking', asked, { tags: { role: 'asking' }, ...nodeResources }));
    const open = await traffic(instance, asking.id, asked.address);
    await client.machineUpdate('asked', { firewallEnabled: true }, wait);
    const tcp = await client.firewallRuleCreate({ rule: everyTcp, enabled: true });
    const guarded = await traffic(instance, asking.id, asked.address);

    const machines: string[] = [];
    const made = await burst(machineCount, 8, async (index) =>
      machines.push((await create({ tags: { role: `r${index % 20}` }, firewallEnabled: index % 2 === 0 })).id),
    );
    demandAll('create', made);
    demandAll('rules', await burst(ruleCount, 8, (index) => client.firewallRuleCreate({ rule: ruleText(index, machines), enabled: true })));
    bench.note(`${machineCount} machines, ${ruleCount} rules`);
    const loaded = await traffic(instance, asking.id, asked.address);
    const beside = await createTimes({});
    const withSwitch = await createTimes({ firewallEnabled: true, tags: { role: 'r1' } });

    const effect = await effects(instance, asking.id, rounds);
    await client.firewallRuleDelete(tcp.id);
    await burst(machines.length, 8, (index) => remove(machines[index]!));
    for (const { id } of await client.firewallRuleList()) await client.firewallRuleDelete(id);
    await removeAll();
    const worst = Math.max(...Object.values(effect).map(({ p99 }) => p99));
    const rows: Row[] = [
      {
        what: `a rule in force, until an answer, ${machineCount} machines and ${ruleCount} rules`,
        value: p50p99(effect.ruleOn),
        against: metOrNot(worst <= effectTargetMs, `${effectTargetMs} ms to effect`),
      },
      { what: 'a rule disabled, until the last answer of what was under way', value: p50p99(effect.ruleOff) },
      { what: 'a tag given, until an answer', value: p50p99(effect.tagOn) },
      { what: 'a tag taken, until the last answer', value: p50p99(effect.tagOff) },
      { what: 'create to running, no firewall on the host', value: p50p99(without) },
      { what: 'the same machine beside all machines and rules', value: p50p99(beside), against: `${times(beside.p50 / without.p50)} of it` },
      { what: 'a machine with its firewall on', value: p50p99(withSwitch), against: `${times(withSwitch.p50 / without.p50)} of it` },
      {
        what: 'TCP connections a second: open, firewall on, and all rules',
        value: [open, guarded, loaded].map(({ perSecond }) => perSecond.toFixed(0)).join(', '),
        against: `${times(loaded.perSecond / open.perSecond)} of open`,
      },
      {
        what: 'MB/s on one connection: open, firewall on, and all rules',
        value: [open, guarded, loaded].map(({ mbps }) => mbps.toFixed(0)).join(', '),
        against: `${times(loaded.mbps / open.mbps)} of open`,
      },
    ];
    return { rows, data: { machineCount, ruleCount, effect, create: { without, beside, withSwitch }, traffic: { open, guarded, loaded } } };
  },
};

/** Every change there and back, as packets see it. */
const effects = async (instance: BenchInstance, asking: string, rounds: number): Promise<Record<'ruleOn' | 'ruleOff' | 'tagOn' | 'tagOff', Summary>> => {
  const { client } = instance;
  const { id } = await client.firewallRuleCreate({ rule });
  await using watch = await Watch.of(instance, asking);
  const samples = { ruleOn: [] as number[], ruleOff: [] as number[], tagOn: [] as number[], tagOff: [] as number[] };
  const tag = (role: string) => client.machineUpdate(asking, { tags: { role } }, wait);
  for (let round = 0; round < rounds; round += 1) {
    samples.ruleOn.push(await watch.after('open', () => client.firewallRuleEnable(id)));
    samples.tagOff.push(await watch.after('closed', () => tag('nothing')));
    samples.tagOn.push(await watch.after('open', () => tag('asking')));
    samples.ruleOff.push(await watch.after('closed', () => client.firewallRuleDisable(id)));
  }
  return { ruleOn: summarise(samples.ruleOn), ruleOff: summarise(samples.ruleOff), tagOn: summarise(samples.tagOn), tagOff: summarise(samples.tagOff) };
};

interface Traffic {
  perSecond: number;
  mbps: number;
}

/** The best of three: what others do on the host only ever takes away. */
const traffic = async ({ host }: BenchInstance, asking: string, address: string): Promise<Traffic> => {
  const all: Traffic[] = [];
  for (let round = 0; round < 3; round += 1) all.push(JSON.parse(await host.must('exec', asking, '--', 'node', '-e', trafficScript(address))) as Traffic);
  return { perSecond: Math.max(...all.map(({ perSecond }) => perSecond)), mbps: Math.max(...all.map(({ mbps }) => mbps)) };
};
