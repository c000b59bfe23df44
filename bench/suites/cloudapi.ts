/** CloudAPI: what a signed request costs, lists, and how soon a change is told. */
import { once } from 'node:events';
import sshpk from 'sshpk';
import { WebSocket } from 'ws';
import { SignedClient } from '../../test/support/signed-client.ts';
import { Requester, saturate, signedRequest, steadily } from '../cloudapi/requester.ts';
import { keyKinds, openCloudWorld } from '../cloudapi/world.ts';
import type { CloudWorld } from '../cloudapi/world.ts';
import { metOrNot, ms, p50p99 } from '../lib/format.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { burst, demandAll, timed } from '../lib/measure.ts';
import { summarise } from '../lib/statistics.ts';
import type { Summary } from '../lib/statistics.ts';
import type { Row, Suite } from '../lib/suite.ts';

interface Wire {
  id: string;
  state: string;
}

export const cloudapiSuite: Suite = {
  name: 'cloudapi',
  title: 'CloudAPI',
  method:
    'A control plane, a simulated host and the generator, each a process of its own, on SQLite. Requests are signed beforehand and sent over connections that stay open; every signature is checked. CPU is that of the control plane, all its threads. GETs beside creates, and only those, are of a real instance: 200 a second, each timed from when it was due, while 8 creates are always under way.',
  run: async (bench) => {
    const [few, many] = [bench.count(1000, 100), bench.count(10_000, 1000)];
    await using world = await openCloudWorld({ few, many });
    const rows: Row[] = [];
    const gets: Record<string, { perSecond: number; cpuMs: number; ownMs: number }> = {};
    for (const kind of keyKinds) {
      const got = await signedGets(world, kind, bench.count(6000, 1000));
      gets[kind] = got;
      rows.push({
        what: `signed GETs of a machine, ${kind}`,
        value: `${got.perSecond.toFixed(0)} a second`,
        against: `${got.cpuMs.toFixed(3)} ms of CPU each, the generator ${got.ownMs.toFixed(3)}`,
        note: metOrNot(got.perSecond >= 5000, '>= 5,000 a second'),
      });
    }
    const one = await listTimes(world, 'few', few, bench.count(100, 20));
    rows.push({ what: `list of ${few} machines, one page`, value: p50p99(one), note: metOrNot(one.p50 <= 10, '<= 10 ms') });
    const pages = await listTimes(world, 'many', many, bench.count(20, 5));
    rows.push({ what: `list of ${many} machines, pages of 1000`, value: p50p99(pages), note: metOrNot(pages.p50 <= 100, '<= 100 ms') });
    const told = await changeDelays(world, bench.count(200, 20));
    rows.push({ what: 'from an event on the host to a client of the changefeed', value: p50p99(told), note: metOrNot(told.p99 <= 50, '<= 50 ms') });
    const beside = await getsBesideCreates(await bench.instance(), bench.count(160, 24));
    rows.push({
      what: 'GETs at 200 a second while 8 creates run',
      value: p50p99(beside.gets),
      against: `from when they were sent ${p50p99(beside.sent)}; ${beside.creates} creates, p50 ${ms(beside.create.p50)}`,
      note: metOrNot(beside.gets.p99 <= 5, 'p99 <= 5 ms'),
    });
    return { rows, data: { gets, one, pages, told, beside } };
  },
};

const signedGets = async (world: CloudWorld, kind: (typeof keyKinds)[number], milliseconds: number) => {
  const client = world.client('few', kind);
  const machines = (await client.send('GET', '/my/machines?limit=64')).body as Wire[];
  const requests = machines.map(({ id }) => signedRequest(client, world.url, `/my/machines/${id}`));
  await using requesters = connections(world.url, 16);
  await saturate(requesters.all, requests, milliseconds / 4);
  const [cpuBefore, ownBefore] = [world.cpuMs(), process.cpuUsage()];
  const { count, seconds } = await saturate(requesters.all, requests, milliseconds);
  const { user, system } = process.cpuUsage(ownBefore);
  return { perSecond: count / seconds, cpuMs: (world.cpuMs() - cpuBefore) / count, ownMs: (user + system) / 1000 / count };
};

const connections = (url: URL, count: number) => {
  const all = Array.from({ length: count }, () => new Requester(url));
  return { all, [Symbol.asyncDispose]: async () => all.forEach((one) => one[Symbol.dispose]()) };
};

const listTimes = async (world: CloudWorld, account: string, machines: number, count: number): Promise<Summary> => {
  const client = world.client(account);
  using requester = new Requester(world.url);
  const pages: string[] = [];
  for (let offset = 0; offset < machines; offset += 1000) pages.push(signedRequest(client, world.url, `/my/machines?limit=1000&offset=${offset}`));
  const whole = async (): Promise<void> => {
    for (const page of pages) await requester.send(page);
  };
  for (let round = 0; round < 5; round += 1) await whole();
  const samples: number[] = [];
  for (let round = 0; round < count; round += 1) samples.push(await timed(whole));
  return summarise(samples);
};

/** A process ends in a machine; the time is until the client has read that the machine is stopped. */
const changeDelays = async (world: CloudWorld, count: number): Promise<Summary> => {
  const client = world.client('few');
  const machines = ((await client.send('GET', '/my/machines')).body as Wire[]).slice(0, count);
  const socket = new WebSocket(`${world.url.href.replace('http', 'ws')}my/changefeed`, { headers: client.signed('GET', '/my/changefeed') });
  await once(socket, 'open');
  const told = new Map<string, PromiseWithResolvers<bigint>>();
  socket.on('message', (data: Buffer) => {
    const atNs = process.hrtime.bigint();
    told.get((JSON.parse(data.toString()) as { changedResourceId: string }).changedResourceId)?.resolve(atNs);
  });
  socket.send(JSON.stringify({ resource: 'vm', subResources: ['state'] }));
  // It says nothing of being ready; what there is has been read long before the first machine ends.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const samples: number[] = [];
  for (const { id } of machines) {
    const waiting = Promise.withResolvers<bigint>();
    told.set(id, waiting);
    const ended = await world.endMachine(id);
    samples.push(Number((await waiting.promise) - ended) / 1e6);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  socket.terminate();
  return summarise(samples);
};

const getsBesideCreates = async (instance: BenchInstance, creates: number) => {
  const key = sshpk.generatePrivateKey('ed25519');
  const { cloudapi } = await instance.client.info();
  if (cloudapi === null) throw new Error('CloudAPI is not served: its port is taken');
  const account = await instance.client.accountCreate({ name: 'bench', keys: [{ name: 'first', key: key.toPublic().toString('ssh') }] });
  const [url, client] = [new URL(cloudapi), new SignedClient(cloudapi, 'bench', key)];
  const image = (await instance.client.imageList()).find(({ name }) => name === 'base')!;
  const made = await client.send('POST', '/my/machines', { json: { name: 'read', image: image.id, package: 'tiny' } });
  if (made.status !== 201) throw new Error(`the machine to be read was refused: ${JSON.stringify(made.body)}`);
  const { id } = made.body as Wire;
  while (((await client.send('GET', `/my/machines/${id}`)).body as Wire).state === 'provisioning') await new Promise((resolve) => setTimeout(resolve, 20));
  await using requesters = connections(url, 64);
  const over = new AbortController();
  const reading = steadily(requesters.all, [signedRequest(client, url, `/my/machines/${id}`)], 200, over.signal);
  const ids: string[] = [];
  const creating = await burst(creates, 8, async () => void ids.push((await instance.create()).id));
  over.abort();
  const { fromDue, fromSent } = await reading;
  demandAll('create', creating);
  await burst(ids.length, 8, (index) => instance.remove(ids[index]!));
  await client.send('DELETE', `/my/machines/${id}`);
  while ((await client.send('GET', `/my/machines/${id}`)).status === 200) await new Promise((resolve) => setTimeout(resolve, 20));
  await instance.client.accountDelete(account.id);
  return { gets: summarise(fromDue), sent: summarise(fromSent), create: summarise(creating.samples), creates };
};
