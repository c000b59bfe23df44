/** Fabric networks of real machines, through the front door: two accounts with the same subnet, unaware of each other, and what is left after kills. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import sshpk from 'sshpk';
import type { CreateMachine, Machine } from '../../src/model/control-api.ts';
import { SignedClient } from '../support/signed-client.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { checkHost } from './agent-crashes.ts';
import { until } from './network-world.ts';

const server = (word: string): string[] => [
  'node',
  '-e',
  `require('node:net').createServer((s) => { s.on('error', () => {}); s.end('${word} ' + s.remoteAddress); }).listen(90, '0.0.0.0')`,
];
const small = (name: string, more: Partial<CreateMachine> = {}): CreateMachine => ({
  name,
  image: 'node',
  command: server(name),
  resources: { diskMib: 64, memoryMib: 64, cpuMillis: 10 },
  stopGraceSeconds: 0,
  ...more,
});

describe('fabric networks of machines', { skip: skipInstance, timeout: 600_000 }, () => {
  let instance: TestInstance;
  let services: OwnServices;
  let alice: SignedClient;
  const cenote = (...words: string[]) => instance.must(...words);
  const create = async (more: Parameters<typeof small>): Promise<Machine> => {
    const { job, machine } = await services.control.machineCreate(small(...more), { wait: 120 });
    assert.equal(job.state, 'succeeded', job.reason ?? '');
    return machine!;
  };
  /** What is heard at a port of a machine, or how it fails. */
  const asks = async (from: string, address: string, port = 90): Promise<string> => {
    const script = `const s = require('node:net').connect(${port}, '${address}'); s.setTimeout(1500, () => { console.log('timeout'); process.exit(); }); s.on('data', (d) => { console.log(String(d)); process.exit(); }); s.on('error', (e) => console.log(e.code));`;
    return (await cenote('exec', from, '--', 'node', '-e', script)).trim();
  };
  const kill = async (): Promise<void> => {
    await services.stop('agent', 'SIGKILL');
    assert.ok(await services.startAgent());
    await services.reachable();
  };

  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
    services = await OwnServices.take(instance);
    await services.startBoth();
    const key = sshpk.generatePrivateKey('ecdsa');
    await services.control.accountCreate({ name: 'alice', keys: [{ name: 'first', key: key.toPublic().toString('ssh') }] });
    alice = new SignedClient((await services.control.info()).cloudapi!, 'alice', key);
  });
  after(async () => {
    await services[Symbol.asyncDispose]();
    await instance[Symbol.asyncDispose]();
  });

  test('two accounts with the same subnet', async () => {
    await cenote('network', 'create', 'back', '--subnet', '192.168.10.0/24');
    await create(['one', { networks: [{ network: 'back' }] }]);
    await create(['two', { networks: [{ network: 'default' }, { network: 'back' }] }]);
    assert.equal((await alice.send('POST', '/v1/networks', { json: { name: 'back', subnet: '192.168.10.0/24' } })).status, 201);
    for (const name of ['hers', 'other']) {
      const made = await alice.send('POST', '/v1/machines?wait=120', { json: small(name, { networks: [{ network: 'back' }] }) });
      assert.equal((made.body as { job: { state: string } }).job.state, 'succeeded', made.text);
    }
    const list = async () => JSON.stringify((await services.agent.machineList()).map(({ spec }) => `${spec.name} ${spec.address}`).toSorted());
    assert.match(await list(), /"hers 192\.168\.10\.2".*"one 192\.168\.10\.2".*"other 192\.168\.10\.3"/);
    await until(async () => (await asks('two', '192.168.10.2')) === 'one 192.168.10.3');
    assert.equal(await asks('one', '192.168.10.3'), 'two 192.168.10.2');
    assert.equal(
      (await services.agent.machineList()).every(({ state }) => state === 'running'),
      true,
    );
    await checkHost(instance, services);
  });

  test('the agent is killed, and nobody notices', async () => {
    await kill();
    assert.equal(await asks('one', '192.168.10.3'), 'two 192.168.10.2');
    await cenote('nic', 'add', 'one', 'default');
    await kill();
    assert.match(await cenote('nic', 'ls', 'one'), /eth0 \* +back .*\neth1 +default /);
    const [external] = (await services.control.machineNicList('two')).filter(({ networkName }) => networkName === 'default');
    assert.match(await asks('one', external!.address), /^two 10\./);
    await checkHost(instance, services);
  });

  test('the firewall holds on every network of a machine, from its first packet and after a kill', async () => {
    await cenote('firewall', 'enable', 'one');
    assert.equal(await asks('two', '192.168.10.2'), 'timeout');
    await cenote('fwrule', 'create', 'FROM tag role = front TO vm', (await services.control.machineGet('one')).id, 'ALLOW tcp PORT 90');
    assert.equal(await asks('two', '192.168.10.2'), 'timeout');
    await cenote('update', 'two', '--tag', 'role=front');
    assert.equal(await asks('two', '192.168.10.2'), 'one 192.168.10.3');
    await kill();
    assert.equal(await asks('two', '192.168.10.2'), 'one 192.168.10.3');
    await cenote('update', 'two', '--tag', 'role=back');
    assert.equal(await asks('two', '192.168.10.2'), 'timeout');
    assert.match(await cenote('firewall', 'test', 'one', 'two', 'tcp', '90'), /^allowed/);
    assert.equal((await instance.cenote('firewall', 'test', 'two', 'one', 'tcp', '90')).code, 1);
    await checkHost(instance, services);
  });

  test('machines of two accounts on a network of the operator’s, each told its own names', async () => {
    await cenote('network', 'create', 'dmz', '--global', '--subnet', '10.200.9.0/24');
    await create(['mine', { networks: [{ network: 'dmz' }] }]);
    const made = await alice.send('POST', '/v1/machines?wait=120', { json: small('alices', { networks: [{ network: 'dmz' }] }) });
    assert.equal((made.body as { job: { state: string } }).job.state, 'succeeded', made.text);
    const resolves = async (name: string): Promise<string> => {
      const script = `require('node:dns').lookup('${name}', (error, address) => console.log(error?.code ?? address))`;
      return (await cenote('exec', 'mine', '--', 'node', '-e', script)).trim();
    };
    await until(async () => (await asks('mine', '10.200.9.3')) === 'alices 10.200.9.2');
    for (const round of ['before', 'after a kill']) {
      assert.equal(await asks('mine', '10.200.9.3'), 'alices 10.200.9.2', round);
      await until(async () => (await resolves('mine')) === '10.200.9.2');
      assert.match(await resolves('alices.inst.alice'), /ENOTFOUND|EAI_AGAIN/, round);
      await checkHost(instance, services);
      if (round === 'before') await kill();
    }
    assert.match(await asks('one', '10.200.9.2'), /timeout|EHOSTUNREACH/);
    await cenote('delete', 'mine');
    await alice.send('DELETE', '/v1/machines/alices?wait=120');
    await cenote('network', 'delete', 'dmz');
  });

  test('a floating address goes from machine to machine, and outlives agents and reboots', async () => {
    // On the host itself, where tests of other instances have theirs.
    const front = `100.127.${process.pid % 256}`;
    await cenote('network', 'create', 'front', '--global', '--public', '--subnet', `${front}.0/29`);
    await create(['plain', {}]);
    await create(['inner', { networks: [{ network: 'back' }] }]);
    const heard = async (): Promise<string> =>
      (
        await once(
          connect(90, `${front}.2`).on('error', () => {}),
          'data',
        ).then(
          ([data]) => String(data),
          () => 'nothing',
        )
      ).split(' ')[0]!;
    const moved = async (name: string) => {
      await cenote('ip', 'float', 'attach', `${front}.2`, name);
      await until(async () => (await heard()) === name);
      await checkHost(instance, services);
    };
    await cenote('ip', 'float', 'create', 'front');
    await moved('plain');
    await moved('inner');
    await kill();
    assert.equal(await heard(), 'inner');
    await cenote('reboot', 'inner');
    await until(async () => (await heard()) === 'inner');
    await moved('two');
    await kill();
    await moved('plain');
    await cenote('ip', 'float', 'detach', `${front}.2`);
    await cenote('ip', 'float', 'delete', `${front}.2`);
    await cenote('delete', 'plain', 'inner', '--yes');
    await cenote('network', 'delete', 'front');
  });

  test('names are had without a gateway, and by the network that has become primary; one that is deleted stays so', async () => {
    await services.control.networkCreate({ name: 'shut', subnet: '192.168.30.0/24', gateway: null });
    await services.control.networkCreate({ name: 'next', subnet: '192.168.31.0/24' });
    const [one, two] = [
      await create(['first', { networks: [{ network: 'shut' }] }]),
      await create(['second', { networks: [{ network: 'shut' }, { network: 'next' }] }]),
    ];
    const address = async (from: string, name: string): Promise<string> => (await cenote('exec', from, '--', 'getent', 'ahostsv4', name)).split(' ')[0]!;
    assert.equal(await address('first', 'second'), two.address);
    await cenote('nic', 'add', 'first', 'next', '--primary');
    assert.equal(
      await address('first', 'second'),
      (await services.control.machineGet('second')).nics!.find(({ network }) => network !== one.nics![0]!.network)!.address,
    );
    await cenote('nic', 'remove', 'first', 'shut');
    assert.match(await address('first', 'second'), /^192\.168\.31\./);
    for (const name of ['first', 'second']) await services.control.machineDelete(name, { wait: 60 });
    for (const name of ['shut', 'next']) await services.control.networkDelete(name);
    await services.stop('control');
    assert.ok(await services.startControl());
    await services.reachable();
    assert.doesNotMatch(await cenote('network', 'ls'), /found-|192\.168\.3/);
  });

  test('machines come back on their networks, and go', async () => {
    await cenote('reboot', 'one');
    assert.match(await cenote('nic', 'ls', 'one'), /eth0 \* +back .*\neth1 +default .*running/);
    assert.equal(await asks('one', '192.168.10.3'), 'two 192.168.10.2');
    await cenote('delete', 'one', 'two', '--yes');
    for (const name of ['hers', 'other']) await alice.send('DELETE', `/v1/machines/${name}?wait=120`);
    await cenote('network', 'delete', 'back');
    await kill();
    assert.deepEqual(await services.agent.networkList(), [], 'what nobody is on is forgotten');
    await checkHost(instance, services);
  });
});
