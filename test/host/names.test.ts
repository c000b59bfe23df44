/** Names in real machines: what a machine is told with no set-up, of whom, and who tells it while agent and control plane are away. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import sshpk from 'sshpk';
import { runAny } from '../../src/exec/run.ts';
import type { CreateMachine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { recallProcess, signalProcess } from '../../src/sys/process-identity.ts';
import { servicePidPath } from '../../src/setup/supervisor.ts';
import { eventually } from '../support/control-fixture.ts';
import { Inside } from '../support/inside.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { SignedClient } from '../support/signed-client.ts';
import { until } from './network-world.ts';

const skip = skipInstance || (existsSync('/usr/bin/dig') ? false : 'dig is not installed: apt-get install bind9-dnsutils');
const small = (name: string, tags: Record<string, string> = {}): CreateMachine => ({
  name,
  command: ['sleep', '1000000'],
  resources: { diskMib: 64, memoryMib: 64, cpuMillis: 10 },
  stopGraceSeconds: 0,
  tags,
});

describe('names in machines', { skip, timeout: 600_000 }, () => {
  let instance: TestInstance;
  let inside: Inside;
  let zone: string;
  const addresses = new Map<string, string>();
  const getent = async (from: string, name: string): Promise<string> => (await inside.shell(from, `getent ahostsv4 ${name}`)).stdout.split(' ')[0]!;
  const dig = async (from: string, ...words: string[]): Promise<string> => (await inside.run(from, `dig +short +tries=1 +time=10 ${words.join(' ')}`)).trim();
  /** The resolver is told of a change without being waited for. */
  const tells = (from: string, name: string, wanted: readonly string[]): Promise<string[]> =>
    eventually(
      async () => (await dig(from, name).catch(String)).split('\n').filter(Boolean).toSorted(),
      (found) => found.join() === wanted.toSorted().join(),
    );

  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
    inside = new Inside(instance);
    zone = (await instance.json<{ zone: string }>('dns', 'status')).zone;
    assert.equal(zone, `${instance.instance}.cenote.internal`);
    for (const name of ['web', 'db']) {
      const tags = ['--tag', 'triton.cns.services=data:5432', '--disk', '64M', '--memory', '64M', '--cpu', '0.01'];
      const { machine } = await instance.json<{ machine: { address: string } }>('create', name, ...tags, '--', 'sleep', '1000000');
      addresses.set(name, machine.address);
    }
  });
  after(async () => {
    inside[Symbol.dispose]();
    await instance[Symbol.asyncDispose]();
  });

  test('machines find each other by short and whole names, services and addresses, with no set-up', async () => {
    const db = addresses.get('db')!;
    for (const name of ['db', 'db.inst.default', `db.inst.default.${zone}`, `DB.INST.default.${zone}`].filter((name) => name !== 'db.inst.default'))
      assert.equal(await getent('web', name), db, name);
    assert.match(await inside.run('web', 'cat /etc/resolv.conf'), new RegExp(`^search inst\\.default\\.${zone} svc\\.default\\.${zone}`, 'm'));
    assert.deepEqual((await dig('web', `data.svc.default.${zone}`)).split('\n').toSorted(), [...addresses.values()].toSorted());
    assert.match(await dig('web', 'SRV', `data.svc.default.${zone}`), new RegExp(`^0 10 5432 (db|web)\\.inst\\.default\\.${zone}\\.`));
    assert.equal(await dig('web', '+tcp', '-x', db), `db.inst.default.${zone}.`);
    assert.match(await inside.run('web', `getent hosts ${db}`), new RegExp(`db\\.inst\\.default\\.${zone}`));
    assert.match(await inside.run('web', `dig none.inst.default.${zone}`), /status: NXDOMAIN/);
    assert.deepEqual((await instance.must('get', 'db')).match(/\S+\.cenote\.internal/g), [`db.inst.default.${zone}`, `data.svc.default.${zone}`]);
  });

  test('a stopped machine has left its services when the stop is done, and one that ends by itself soon after', async () => {
    await instance.must('stop', 'db');
    const [web, db] = [addresses.get('web')!, addresses.get('db')!];
    await tells('web', `data.svc.default.${zone}`, [web]);
    assert.equal(await getent('web', 'db'), db, 'it keeps its own name');
    await instance.must('start', 'db');
    await tells('web', `data.svc.default.${zone}`, [web, db]);
    await instance.must('update', 'db', '--restart', 'never');
    await runAny('kill', ['-KILL', String((await inside.status('db')).pid)]);
    await tells('web', `data.svc.default.${zone}`, [web]);
    await instance.must('start', 'db');
    await tells('web', `data.svc.default.${zone}`, [web, db]);
    await instance.must('metadata', 'set', 'db', 'triton.cns.status=down');
    await tells('web', `data.svc.default.${zone}`, [web]);
    await instance.must('metadata', 'delete', 'db', 'triton.cns.status');
    await instance.must('rename', 'db', 'store');
    await until(async () => (await getent('web', 'store')) === db);
    assert.equal(await getent('web', 'db'), '');
    await instance.must('rename', 'store', 'db');
  });

  test('a machine is told addresses that it reaches, and of others that the name is there', async () => {
    const db = addresses.get('db')!;
    await instance.must('network', 'create', 'back', '--subnet', '192.168.10.0/24');
    await instance.must('nic', 'add', 'db', 'back', '--address', '192.168.10.5');
    const few = ['--disk', '64M', '--memory', '64M', '--cpu', '0.01'];
    const tag = ['--tag', 'triton.cns.services=data:5432'];
    await instance.must('create', 'far', '--network', 'back=192.168.10.7', ...tag, ...few, '--', 'sleep', '1000000');
    const both = [addresses.get('web')!, db].toSorted();
    // With that it knows of both changes.
    await tells('far', `db.inst.default.${zone}`, ['192.168.10.5']);
    for (let round = 0; round < 6; round += 1) {
      assert.equal(await dig('web', `db.inst.default.${zone}`), db);
      assert.deepEqual((await dig('web', `data.svc.default.${zone}`)).split('\n').toSorted(), both);
    }
    assert.match(await inside.run('web', `dig far.inst.default.${zone}`), /status: NOERROR.*\n.*ANSWER: 0/);
    assert.doesNotMatch(await dig('web', 'SRV', `data.svc.default.${zone}`), /far/);
    // By its router: what is beside it, and what is reached by the way out.
    assert.equal(await dig('far', `web.inst.default.${zone}`), addresses.get('web'));
    assert.equal(await dig('far', '-x', '192.168.10.5'), `db.inst.default.${zone}.`);
    // Asks from outside, and is known to be on both.
    assert.equal(await dig('db', `far.inst.default.${zone}`), '192.168.10.7');
    await instance.must('nic', 'add', 'web', 'back');
    await tells('web', `far.inst.default.${zone}`, ['192.168.10.7']);
    // By their router: all of those whose primary network it is are on the other one, until one is not.
    await instance.must('network', 'create', 'front', '--subnet', '192.168.20.0/24');
    await instance.must('create', 'near', '--network', 'front', '--network', 'back', ...few, '--', 'sleep', '1000000');
    await tells('near', `far.inst.default.${zone}`, ['192.168.10.7']);
    await instance.must('create', 'alone', '--network', 'front', ...few, '--', 'sleep', '1000000');
    await tells('near', `far.inst.default.${zone}`, []);
    assert.equal(await dig('alone', `far.inst.default.${zone}`), '');
    await instance.must('delete', 'alone');
    await tells('near', `far.inst.default.${zone}`, ['192.168.10.7']);
    await instance.must('delete', 'near', 'far', '--yes');
    await instance.must('network', 'delete', 'front');
    for (const name of ['web', 'db']) await instance.must('nic', 'remove', name, 'back');
    await instance.must('network', 'delete', 'back');
  });

  test("another account's machines are told nothing of its names", async () => {
    const key = sshpk.generatePrivateKey('ecdsa');
    const keyFile = join(instance.directory, 'key.pub');
    writeFileSync(keyFile, key.toPublic().toString('ssh'));
    await instance.must('account', 'create', 'alice', '--key', keyFile);
    const { cloudapi } = await instance.json<{ cloudapi: string }>('info');
    const alice = new SignedClient(cloudapi, 'alice', key);
    const made = await alice.send('POST', '/v1/machines?wait=60', { json: small('spy', { 'triton.cns.services': 'data' }) });
    assert.equal(made.status, 201, made.text);
    const { machine } = made.body as { machine: { id: string } };
    const asSpy = async (...words: string[]): Promise<string> => {
      const { pid } = await inside.agent.machineGet(machine.id);
      return (
        await runAny('nsenter', [
          '--target',
          String(pid),
          '--user',
          '--net',
          '--mount',
          '--preserve-credentials',
          'dig',
          '+short',
          '+tries=1',
          '+time=10',
          ...words,
        ])
      ).stdout.trim();
    };
    await until(async () => /^\d/.test(await asSpy(`spy.inst.alice.${zone}`)));
    for (const words of [[`web.inst.default.${zone}`], [`data.svc.default.${zone}`, 'TXT'], ['-x', addresses.get('web')!]])
      assert.equal(await asSpy(...words), '', words.join(' '));
    assert.equal((await asSpy(`data.svc.alice.${zone}`)).split('\n').length, 1);
    assert.equal(await dig('web', `spy.inst.alice.${zone}`), '');
    await alice.send('DELETE', `/v1/machines/${machine.id}?wait=60`);
    await instance.must('account', 'delete', 'alice');
  });

  test('a floating address is told to who reaches the machine by no other, and to nobody once it leads elsewhere', async () => {
    const few = ['--disk', '64M', '--memory', '64M', '--cpu', '0.01'];
    for (const [network, subnet, machine] of [
      ['back', '192.168.10.0/24', 'far'],
      ['front', '192.168.20.0/24', 'alone'],
    ] as const) {
      await instance.must('network', 'create', network, '--subnet', subnet);
      await instance.must('create', machine, '--network', network, ...few, '--', 'sleep', '1000000');
    }
    await instance.must('network', 'create', 'open', '--global', '--public', '--subnet', '198.18.77.0/29');
    const { address } = await instance.json<{ address: string }>('ip', 'float', 'create', 'open');
    const far = `far.inst.default.${zone}`;
    assert.equal(await dig('alone', far), '');
    await instance.must('ip', 'float', 'attach', address, 'far');
    await tells('alone', far, [address]);
    assert.equal(await dig('alone', '-x', address), `${far}.`);
    const agent = servicePidPath(instancePaths(instance.root), 'agent');
    const former = recallProcess(agent)!;
    signalProcess(former, 'SIGKILL');
    await until(
      async () => ![undefined, former.pid].includes(recallProcess(agent)?.pid) && (await instance.cenote('ip', 'float', 'attach', address, 'far')).code === 0,
    );
    // What the new agent says of all machines.
    await until(async () => (await instance.json<{ resolver: object | null }>('dns', 'status')).resolver !== null);
    await tells('alone', far, [address]);
    await instance.must('ip', 'float', 'attach', address, 'web');
    await tells('alone', far, []);
    await instance.must('ip', 'float', 'detach', address);
    await instance.must('ip', 'float', 'delete', address);
    await instance.must('delete', 'far', 'alone', '--yes');
    for (const network of ['back', 'front', 'open']) await instance.must('network', 'delete', network);
  });

  test('a resolver that was killed is back, and knows all again', async () => {
    const path = servicePidPath(instancePaths(instance.root), 'resolver');
    const former = recallProcess(path)!;
    signalProcess(former, 'SIGKILL');
    await until(async () => ![undefined, former.pid].includes(recallProcess(path)?.pid));
    await until(async () => (await getent('web', 'db')) === addresses.get('db'));
    assert.match((await runAny('ps', ['-o', 'user=', '-p', String(recallProcess(path)!.pid)])).stdout, /^cenote-dns/);
  });

  test('a flood of questions by one machine keeps no answer from another', async () => {
    const flood = `const u = require('node:dgram').createSocket('udp4'); const q = Buffer.from('000101000001000000000000017801790000010001', 'hex'); const end = Date.now() + 3000; const go = () => { for (let i = 0; i < 200; i++) u.send(q, 53, process.argv[1]); Date.now() < end ? setImmediate(go) : process.exit(); }; go();`;
    const gateway = (await inside.run('web', 'cat /etc/resolv.conf')).match(/nameserver (\S+)/)![1]!;
    const node = process.execPath;
    const flooder = (async () => {
      const { pid } = await inside.status('db');
      return runAny('nsenter', ['--target', String(pid), '--net', node, '-e', flood, gateway]);
    })();
    for (let round = 0; round < 10; round++) {
      assert.equal(await dig('web', `db.inst.default.${zone}`), addresses.get('db'));
      await sleep(50);
    }
    await flooder;
    await until(async () => (await instance.json<{ resolver: { forwarded: number } }>('dns', 'status')).resolver.forwarded > 100);
    assert.equal(await dig('web', `db.inst.default.${zone}`), addresses.get('db'));
  });

  test('up --dns serves names to others, on port 53 with the one privilege that it wants, and takes it back', async () => {
    const served = '127.0.9.53';
    const capabilities = () => {
      const { pid } = recallProcess(servicePidPath(instancePaths(instance.root), 'control'))!;
      return [...readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^Cap(?:Prm|Eff|Amb):\s+([0-9a-f]+)$/gm)].map(([, mask]) => BigInt(`0x${mask}`));
    };
    const others = async (...words: string[]) => (await runAny('dig', [`@${served}`, '+short', '+tries=1', '+time=10', ...words])).stdout.trim();
    assert.match(await instance.refused('up', '--no-hello', '--dns', '0.0.0.0'), /name the one that is to be asked/);
    assert.match(await instance.refused('up', '--no-hello', '--dns', '192.0.2.77'), /names cannot be served at 192\.0\.2\.77 port 7\d{3}/);
    await instance.must('up', '--no-hello', '--dns', `${served}:53`, '--dns-zone', 'dc.example.test', '--dns-secondary', '127.0.9.54');
    await until(async () => (await others('web.inst.default.dc.example.test')) === addresses.get('web'));
    assert.deepEqual(new Set(capabilities()), new Set([1n << 10n]), 'CAP_NET_BIND_SERVICE');
    assert.equal(await dig('web', 'db.inst.default.dc.example.test'), addresses.get('db'), 'machines are told by the new zone');
    assert.match(await instance.must('dns', 'status'), /Served: +at 127\.0\.9\.53 port 53\n[\s\S]*127\.0\.9\.54 port 53: has not answered/);
    await inside.refuses('web', `dig +tries=1 +time=1 @${served} web.inst.default.dc.example.test`, /^$/);
    await instance.must('up', '--no-hello', '--dns', 'none', '--dns-zone', 'none', '--dns-secondary', 'none');
    await until(async () => (await getent('web', `db.inst.default.${zone}`)) === addresses.get('db'));
    assert.deepEqual(new Set(capabilities()), new Set([0n]));
    assert.match(await others('web.inst.default.dc.example.test'), /connection refused/);
  });

  test('names are told while the agent starts anew, and while agent and control plane are away', async () => {
    await using services = await OwnServices.take(instance);
    await services.startBoth();
    const { pid } = await inside.status('web');
    const ask = `for i in $(seq 100); do dig +short +tries=1 +time=10 db.inst.default.${zone} || echo lost; sleep 0.02; done`;
    const asking = runAny('nsenter', ['--target', String(pid), '--user', '--net', '--mount', '--preserve-credentials', 'sh', '-c', ask], {
      timeoutMs: 120_000,
    });
    await sleep(200);
    await services.stop('agent', 'SIGKILL');
    await sleep(200);
    await services.startAgent();
    const lines = (await asking).stdout.trim().split('\n');
    assert.deepEqual([lines.length, new Set(lines)], [100, new Set([addresses.get('db')])]);
    await services.stop('control', 'SIGKILL');
    const status = await services.agent.machineList();
    const db = status.find(({ spec }) => spec.name === 'db')!;
    await services.agent.machineStop(db.id, { generation: db.generation + 1 });
    const alone = (name: string) =>
      runAny('nsenter', ['--target', String(pid), '--user', '--net', '--mount', '--preserve-credentials', 'dig', '+short', '+tries=1', '+time=10', name]);
    // Without the control plane.
    await until(async () => (await alone(`data.svc.default.${zone}`)).stdout.trim() === addresses.get('web'));
    await services.stop('agent', 'SIGKILL');
    assert.equal((await alone(`db.inst.default.${zone}`)).stdout.trim(), addresses.get('db'), 'without both');
    await services[Symbol.asyncDispose]();
    await instance.must('up', '--no-hello');
    await until(async () => (await getent('web', 'db')) === addresses.get('db'));
  });
});
