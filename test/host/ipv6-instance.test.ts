/** A whole instance with a network of IPv6: machines on it by the command line, their names, and an agent that comes back. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { instancePaths } from '../../src/model/instance.ts';
import type { Machine } from '../../src/model/control-api.ts';
import type { MachineNic } from '../../src/model/network-api.ts';
import { recallProcess, signalProcess } from '../../src/sys/process-identity.ts';
import { servicePidPath } from '../../src/setup/supervisor.ts';
import { Inside } from '../support/inside.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { until } from './network-world.ts';

const skip = skipInstance || (existsSync('/usr/bin/dig') ? false : 'dig is not installed: apt-get install bind9-dnsutils');
const few = ['--disk', '64M', '--memory', '64M', '--cpu', '0.01'];
const server = "require('node:http').createServer((q, a) => a.end(q.socket.remoteAddress)).listen(8080, '::')";
const ask = (url: string) =>
  `node -e "fetch('${url}', { signal: AbortSignal.timeout(3000) }).then((a) => a.text()).then(console.log, (e) => console.log(e.cause?.code ?? e.name))"`;

describe('a network of IPv6 in an instance', { skip, timeout: 600_000 }, () => {
  let instance: TestInstance;
  let inside: Inside;
  let zone: string;
  const dig = async (from: string, ...words: string[]): Promise<string> => (await inside.run(from, `dig +short +tries=1 +time=10 ${words.join(' ')}`)).trim();

  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
    inside = new Inside(instance);
    zone = (await instance.json<{ zone: string }>('dns', 'status')).zone;
    await instance.must('network', 'create', 'six', '--subnet', 'fd00:10::/64');
    await instance.must('create', 'db', '--network', 'six=fd00:10::5', '--firewall', '--tag', 'role=db', ...few, '--', 'node', '-e', server);
    await instance.must('create', 'web', '--network', 'default', '--network', 'six', '--publish', '18080:8080', ...few, '--', 'node', '-e', server);
  });
  after(async () => {
    inside[Symbol.dispose]();
    assert.deepEqual(await instance.destroy(), []);
  });

  test('machines reach each other by address and by name, as far as the firewall lets them', async () => {
    const [, nic] = await instance.json<MachineNic[]>('nic', 'ls', 'web');
    assert.equal(nic!.address, 'fd00:10::2');
    assert.match(await inside.run('web', ask('http://[fd00:10::5]:8080/')), /TimeoutError/);
    await instance.must('fwrule', 'create', 'FROM ip fd00:10::2 TO tag role = db ALLOW tcp PORT 8080');
    assert.equal((await inside.run('web', ask('http://[fd00:10::5]:8080/'))).trim(), 'fd00:10::2');
    assert.equal((await inside.run('web', ask('http://db:8080/'))).trim(), 'fd00:10::2');
    assert.equal((await inside.run('db', ask('http://web:8080/'))).trim(), 'fd00:10::5');
    assert.match(await instance.must('firewall', 'test', 'web', 'db', 'tcp', '8080'), /allowed/);
  });

  test('names are told to who has IPv6 alone, and of both families to who has both', async () => {
    assert.match(await inside.run('db', 'cat /etc/resolv.conf'), /^nameserver fd00:10::1$/m);
    assert.equal(await dig('db', 'AAAA', `web.inst.default.${zone}`), 'fd00:10::2');
    assert.equal(await dig('db', '+tcp', 'AAAA', `db.inst.default.${zone}`), 'fd00:10::5');
    assert.equal(await dig('db', '-x', 'fd00:10::2'), `web.inst.default.${zone}.`);
    assert.equal(await dig('web', 'AAAA', `db.inst.default.${zone}`), 'fd00:10::5');
    const first = await instance.json<{ address: string }>('get', 'web');
    assert.equal(await dig('web', 'A', `web.inst.default.${zone}`), first.address);
    assert.equal(await dig('web', 'AAAA', `web.inst.default.${zone}`), 'fd00:10::2');
    assert.match((await inside.shell('db', 'getent hosts localhost')).stdout, /localhost/);
  });

  test('what outside cannot be reached is refused at once', async () => {
    assert.match(await inside.run('db', ask('http://[2001:db8::1]:80/')), /EACCES|ENETUNREACH|EHOSTUNREACH/);
  });

  test('ports are published in IPv6 too, and refused to a machine that has it alone where nobody outside would reach them', async () => {
    const sendsOn = readFileSync('/proc/sys/net/ipv6/conf/all/forwarding', 'latin1').trim() !== '0';
    const { code, stderr } = await instance.cenote('update', 'db', '--publish', '18081:8080');
    if (sendsOn) return assert.equal(code, 0, stderr);
    assert.deepEqual([code, /this host sends no IPv6 on[^]*sysctl net.ipv6.conf.all.forwarding=1/.test(stderr)], [8, true], stderr);
    assert.deepEqual((await instance.json<Machine>('get', 'db')).publish, []);
    assert.match(await (await fetch('http://127.0.0.1:18080/')).text(), /^(::ffff:)?10\./);
  });

  test('NICs are added and removed while a machine runs, and an agent that was killed finds all as it was', async () => {
    await instance.must('create', 'plain', ...few, '--', 'sleep', '1000000');
    await instance.must('nic', 'add', 'plain', 'six', '--address', 'fd00:10::77');
    assert.equal((await inside.run('plain', ask('http://web:8080/'))).length > 0, true);
    const path = servicePidPath(instancePaths(instance.root), 'agent');
    const former = recallProcess(path)!;
    signalProcess(former, 'SIGKILL');
    await until(async () => ![undefined, former.pid].includes(recallProcess(path)?.pid));
    await until(async () => (await inside.shell('web', 'true')).code === 0);
    assert.equal((await inside.run('web', ask('http://[fd00:10::5]:8080/'))).trim(), 'fd00:10::2');
    assert.equal((await inside.run('plain', ask('http://[fd00:10::2]:8080/'))).trim(), 'fd00:10::77');
    await instance.must('reboot', 'db');
    assert.equal(await dig('db', 'AAAA', `web.inst.default.${zone}`), 'fd00:10::2');
  });
});
