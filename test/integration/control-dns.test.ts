/** The datacenter's own DNS server as others see it: with `dig`, with a secondary of other people's make, and with packets that nobody should send. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CenoteError } from '../../src/base/errors.ts';
import { frame, MessageFramer } from '../../src/dns/stream.ts';
import { run, runAny } from '../../src/exec/run.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';
import type { ControlFixture } from '../support/control-fixture.ts';
import { questionFor, readMessage } from '../support/dns-reader.ts';
import { freePort, nsdSkip, startNsd } from '../support/nsd.ts';

const zone = 'dc.example.test';
const address = '127.0.7.1';
const secondaryAddress = '127.0.7.2';

const serving = (change: Parameters<typeof controlFixture>[0] & { secondaryPort?: number } = {}): Promise<ControlFixture> => {
  const { secondaryPort = 1, ...rest } = change;
  return controlFixture({ names: { zone, listen: { address, port: 0 }, secondaries: [{ address: secondaryAddress, port: secondaryPort }] }, ...rest });
};
const portOf = async ({ client }: ControlFixture): Promise<number> => (await client.dnsStatus()).port!;
const create = async ({ client }: ControlFixture, name: string, tags: Machine['tags'] = {}): Promise<Machine> =>
  (await client.machineCreate({ name, tags, command: ['x'] }, { wait: 10 })).machine!;

const dig = async (port: number, ...words: string[]): Promise<string[]> =>
  (await run('dig', [`@${address}`, '-p', String(port), '+short', '+tries=1', '+time=10', ...words]))
    .split('\n')
    .filter((line) => line !== '')
    .toSorted();

/** Also when nobody answers for once. */
const eventuallyDug = async <T extends object>(look: () => Promise<T>, accept: (found: T) => boolean): Promise<void> => {
  await eventually(
    () => look().catch(() => null),
    (found) => found !== null && accept(found),
  );
};

const send = (port: number, message: Buffer, waitMs = 1000): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    const socket = createSocket('udp4');
    const settle = (answer?: Buffer) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(settle, waitMs);
    socket.once('message', settle);
    socket.send(message, port, address);
  });

/** As resolvers ask: again when nothing comes. */
const answered = async (port: number, message: Buffer): Promise<Buffer> => {
  for (let tries = 0; tries < 10; tries += 1) {
    const answer = await send(port, message);
    if (answer !== undefined) return answer;
  }
  throw new Error('nobody answers');
};

describe('the datacenter’s DNS', { skip: nsdSkip() }, () => {
  test('dig finds machines, services and addresses, and that there is nothing', async () => {
    await using fixture = await serving();
    const port = await portOf(fixture);
    const web = await create(fixture, 'web', { 'triton.cns.services': 'site:80:weight=5,other' });
    await create(fixture, 'web2', { 'triton.cns.services': 'site:81' });
    await eventuallyDug(
      () => dig(port, `web2.inst.default.${zone}`),
      (found) => found.length === 1,
    );
    const names = (await fixture.client.nameList({ machine: 'web' })).filter(({ type }) => type === 'A').map(({ name }) => name);
    assert.equal(names.length, 8);
    for (const name of names.slice(0, 4)) assert.deepEqual(await dig(port, name), [web.address], name);
    assert.deepEqual(await dig(port, `${web.id}.inst.default.${zone}`, 'TXT'), [`"${web.id}"`]);
    assert.equal((await dig(port, `site.svc.default.${zone}`)).length, 2);
    assert.deepEqual(await dig(port, `site.svc.default.${zone}`, 'SRV'), [`0 10 81 web2.inst.default.${zone}.`, `0 5 80 web.inst.default.${zone}.`]);
    assert.deepEqual(await dig(port, '-x', web.address), [`web.inst.default.${zone}.`]);
    assert.deepEqual(await dig(port, zone, 'NS'), [`ns1.${zone}.`]);
    assert.deepEqual(await dig(port, `ns1.${zone}`), [secondaryAddress]);
    assert.match((await dig(port, zone, 'SOA'))[0]!, /^ns1\.dc\.example\.test\. hostmaster\.dc\.example\.test\. \d+ 300 60 604800 5$/);
    const absent = await run('dig', [`@${address}`, '-p', String(port), `none.inst.default.${zone}`, 'AAAA']);
    assert.match(absent, /status: NXDOMAIN[\s\S]*AUTHORITY SECTION:\n\S+\s+5\s+IN\s+SOA/);
    assert.match(await run('dig', [`@${address}`, '-p', String(port), 'www.example.org']), /status: REFUSED/);
    assert.match(await run('dig', [`@${address}`, '-p', String(port), '+edns=1', '+noednsnegotiation', zone]), /status: BADVERS/);
    assert.match(await run('dig', [`@${address}`, '-p', String(port), 'CH', 'TXT', 'version.bind']), /status: REFUSED/);
    assert.match(await run('dig', [`@${address}`, '-p', String(port), zone, 'AXFR', '+tries=1']), /Transfer failed/);
  });

  test('what happens to a machine is seen in its names: stopped, ended, tagged, renamed, down, deleted', async () => {
    await using fixture = await serving();
    const { client, agent } = fixture;
    const port = await portOf(fixture);
    const machine = await create(fixture, 'web', { 'triton.cns.services': 'site' });
    const service = `site.svc.default.${zone}`;
    const becomes = (name: string, count: number) =>
      eventuallyDug(
        () => dig(port, name),
        (found) => found.length === count,
      );
    await becomes(service, 1);
    await client.machineStop('web', {}, { wait: 10 });
    await becomes(service, 0);
    assert.deepEqual(await dig(port, `web.inst.default.${zone}`), [machine.address], 'a stopped machine has its own name');
    await client.machineStart('web', { wait: 10 });
    await becomes(service, 1);
    agent.exit(machine.id, 3);
    await becomes(service, 0);
    await client.machineStart('web', { wait: 10 });
    await client.machineMetadata('web', { mode: 'merge', values: { 'triton.cns.status': 'down' } }, { wait: 10 });
    await becomes(service, 0);
    await client.machineMetadata('web', { mode: 'remove', names: ['triton.cns.status'] }, { wait: 10 });
    await becomes(service, 1);
    await client.machineRename('web', 'site', { wait: 10 });
    await becomes(`site.inst.default.${zone}`, 1);
    await becomes(`web.inst.default.${zone}`, 0);
    await client.machineUpdate('site', { tags: { 'triton.cns.disable': true } }, { wait: 10 });
    await becomes(`site.inst.default.${zone}`, 0);
    await client.machineUpdate('site', { tags: {} }, { wait: 10 });
    await becomes(`site.inst.default.${zone}`, 1);
    await client.accountUpdate('default', { namesEnabled: false });
    await becomes(`site.inst.default.${zone}`, 0);
    assert.deepEqual(await client.nameList(), []);
    await client.accountUpdate('default', { namesEnabled: true });
    await becomes(`site.inst.default.${zone}`, 1);
    await client.machineDelete('site', { wait: 10 });
    await becomes(`site.inst.default.${zone}`, 0);
    await becomes(`${machine.id}.inst.default.${zone}`, 0);
  });

  test('a floating address is a name’s of the machine that it leads to', async () => {
    await using fixture = await serving();
    const { client } = fixture;
    const port = await portOf(fixture);
    const [web, other] = [await create(fixture, 'web'), await create(fixture, 'other')];
    await client.networkCreate({ name: 'front', global: true, public: true, subnet: '203.0.113.0/29' });
    const { address: floating } = await client.floatingCreate({ network: 'front' });
    const leads = async (name: string) => dig(port, `${name}.inst.default.${zone}`);
    for (const [machine, to] of [
      ['web', [[floating, web.address], [other.address]]],
      ['other', [[web.address], [floating, other.address]]],
      [null, [[web.address], [other.address]]],
    ] as const) {
      await (machine === null ? client.floatingDetach(floating) : client.floatingAttach(floating, machine));
      await eventuallyDug(
        async () => [await leads('web'), await leads('other')],
        (found) => JSON.stringify(found) === JSON.stringify(to.map((addresses) => [...addresses].toSorted())),
      );
      assert.deepEqual(await dig(port, '-x', floating), machine === null ? [] : [`${machine}.inst.default.${zone}.`]);
    }
  });

  test('a secondary takes the zones when it is told, and again after each change; versions rise over a restart', async () => {
    const secondaryPort = await freePort(secondaryAddress);
    const listen = { address, port: await freePort(address) };
    await using fixture = await serving({ names: { zone, listen, secondaries: [{ address: secondaryAddress, port: secondaryPort }] } });
    const { client } = fixture;
    await create(fixture, 'web');
    await using _nsd = await startNsd({ address: secondaryAddress, port: secondaryPort, primary: listen, zones: [zone, '77.10.in-addr.arpa'] });
    const ask = async (...words: string[]) => (await runAny('dig', [`@${secondaryAddress}`, '-p', String(secondaryPort), '+short', ...words])).stdout.trim();
    const settled = { accept: (found: string) => found !== '' && !found.startsWith(';'), within: 60_000 };
    const web = await eventually(() => ask(`web.inst.default.${zone}`), settled.accept, settled.within);
    for (const name of ['db', 'cache']) {
      const { address: expected } = await create(fixture, name);
      assert.equal(await eventually(() => ask(`${name}.inst.default.${zone}`), settled.accept, settled.within), expected);
      assert.equal(await eventually(() => ask('-x', expected), settled.accept, settled.within), `${name}.inst.default.${zone}.`);
    }
    const { secondaries, zones } = await eventually(
      () => client.dnsStatus(),
      (status) => status.secondaries[0]!.heard === status.zones[0]!.serial,
    );
    assert.equal(secondaries.length, 1);
    const taken = async (...words: string[]) =>
      (await run('dig', [`@${address}`, '-b', secondaryAddress, '-p', String(listen.port), '+onesoa', ...words])).trim();
    for (const kind of ['AXFR', 'IXFR=1']) {
      const whole = await taken(zone, kind, '+noall', '+answer');
      assert.equal(new Set(whole.split('\n').flatMap((line) => /^(\w+)\.inst\.default\./.exec(line)?.[1] ?? [])).size, 3, kind);
      assert.match(whole, /^dc\.example\.test\.\s+5\s+IN\s+SOA/);
    }
    await fixture.restart();
    assert.ok((await client.dnsStatus()).zones[0]!.serial > zones[0]!.serial);
    await create(fixture, 'late');
    await eventually(() => ask(`late.inst.default.${zone}`), settled.accept, settled.within);
    await client.machineDelete('web', { wait: 10 });
    await eventually(
      () => ask(`web.inst.default.${zone}`),
      (found) => found === '',
      settled.within,
    );
    assert.match(web, /^10\.77\./);
  });
});

test('the host is told whose machines have names, when it comes, and when that changes', async () => {
  await using fixture = await controlFixture();
  const { agent, client } = fixture;
  const labels = () => agent.names.accounts.map(({ label }) => label);
  const become = (...wanted: string[]) => eventually(labels, (found) => found.join() === wanted.join());
  await become('default');
  await client.accountCreate({ name: 'Ali.ce' });
  await client.accountCreate({ name: 'ali-ce' });
  await eventually(labels, (found) => found.includes('ali-ce') && found.includes(null));
  await client.accountDelete('ali-ce');
  await become('default', 'ali-ce');
  await agent.stop();
  agent.names = { accounts: [] };
  await client.accountUpdate('Ali.ce', { namesEnabled: false });
  await agent.start();
  await become('default');
});

test('tags that would mean something are refused when they are wrong', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  for (const [name, value, field] of [
    ['triton.cns.services', 'Data', 'tags.triton.cns.services'],
    ['triton.cns.services', 'data:70000', 'tags.triton.cns.services'],
    ['triton.cns.disable', 'maybe', 'tags.triton.cns.disable'],
    ['triton.cns.reverse_ptr', 'a b', 'tags.triton.cns.reverse_ptr'],
    ['triton.other', 'x', 'tags.triton.other'],
  ] as const)
    await assert.rejects(
      client.machineCreate({ name: 'web', command: ['x'], tags: { [name]: value } }),
      (error: CenoteError) => error.fields[0]?.field === field,
      name,
    );
  await create(fixture, 'web', { 'triton.cns.services': 'data:5432:weight=3', 'triton.cmon.groups': 'all' });
  await assert.rejects(client.machineUpdate('web', { tags: { 'triton.cns.services': '-' } }), { code: 'invalid_argument' });
});

describe('hostile questions', () => {
  test('are dropped or refused, counted, and harm nobody', async () => {
    await using fixture = await serving();
    const port = await portOf(fixture);
    await create(fixture, 'web');
    const good = questionFor(`web.inst.default.${zone}`, { edns: 1232 });
    const answerOf = async (message: Buffer) => readMessage(await answered(port, message));
    await eventually(
      () => answerOf(good),
      ({ code }) => code === 0,
    );
    const packets = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.tuple(fc.nat(good.length - 1), fc.nat(255)).map(([at, byte]) => Buffer.from(good).fill(byte, at, at + 1)),
      fc.nat(good.length).map((length) => good.subarray(0, length)),
    );
    const socket = createSocket('udp4');
    for (const packet of fc.sample(packets, 500)) socket.send(packet, port, address);
    const stream = connect(port, address);
    for (const packet of fc.sample(packets, 100)) stream.write(frame(Buffer.from(packet)));
    stream.on('error', () => {}).end(Buffer.from([0xff, 0xff, 1]));
    assert.equal((await answerOf(good)).answer.length, 1);
    socket.close();
    const { counters } = await fixture.client.dnsStatus();
    assert.ok(counters!.malformed > 0 && counters!.refused > 0, JSON.stringify(counters));
    assert.equal(await send(port, readable(good), 300), undefined, 'an answer is no question');
  });

  test('an answer in a datagram is never much longer than is safe, a flood of streams is bounded', async () => {
    await using fixture = await serving();
    const port = await portOf(fixture);
    for (let index = 0; index < 90; index++)
      await fixture.client.machineCreate({ name: `m${index}`, tags: { 'triton.cns.services': 'site' }, command: ['x'] }, { wait: 10 });
    const asked = questionFor(`site.svc.default.${zone}`, { edns: 65_535 });
    await eventually(
      async () => readMessage(await answered(port, asked)),
      ({ truncated }) => truncated,
    );
    assert.ok((await answered(port, asked)).length <= asked.length + 11);
    const streams = Array.from({ length: 20 }, () => connect(port, address));
    const closed = await Promise.race(streams.map((one) => new Promise<boolean>((resolve) => one.on('error', () => {}).on('close', () => resolve(true)))));
    assert.ok(closed);
    for (const one of streams) one.destroy();
    await sleep(50);
    const whole = await new Promise<Buffer>((resolve) => {
      const framer = new MessageFramer();
      const stream = connect(port, address, () => stream.write(frame(asked)));
      stream.on('data', (chunk: Buffer) => {
        for (const message of framer.push(chunk)) resolve(message);
        stream.destroy();
      });
    });
    assert.equal(readMessage(whole).answer.length, 90);
  });
});

/** The question as if it were an answer. */
const readable = (question: Buffer): Buffer => {
  const answer = Buffer.from(question);
  answer[2]! |= 0x80;
  return answer;
};
