/** A whole instance with a public network on a wire: machines by the command line, found from there, and an agent that comes back. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { run, runAny } from '../../src/exec/run.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { recallProcess, signalProcess } from '../../src/sys/process-identity.ts';
import { servicePidPath } from '../../src/setup/supervisor.ts';
import { Inside } from '../support/inside.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { Place, until } from './network-world.ts';

const few = ['--disk', '64M', '--memory', '64M', '--cpu', '0.01'];
const gateway = '198.18.8.1';
const device = `wt${process.pid}`;
const server = "require('node:net').createServer((s) => { s.on('error', () => {}); s.end(s.remoteAddress); }).listen(90, '0.0.0.0')";

describe('a public network on a wire in an instance', { skip: skipInstance, timeout: 600_000 }, () => {
  let instance: TestInstance;
  let inside: Inside;
  let router: Place;
  const heard = (machine: string, address: string) =>
    inside.run(machine, `node -e "require('net').connect(90, '${address}').on('data', (d) => console.log(String(d))).on('error', (e) => console.log(e.code))"`);

  before(async () => {
    router = await Place.create('outside');
    await run('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(router.pid)]);
    await run('ip', ['link', 'set', device, 'up']);
    await router.run('ip', 'addr', 'add', `${gateway}/24`, 'dev', 'eth0');
    await router.run('ip', 'link', 'set', 'eth0', 'up');
    await router.serve(90);
    instance = await startInstance({ poolSizeMib: 1024 });
    inside = new Inside(instance);
    const front = ['--global', '--public', '--subnet', '198.18.8.0/24', '--range', '198.18.8.20-198.18.8.29'];
    await instance.must('network', 'create', 'front', ...front, '--gateway', gateway, '--device', device);
    await instance.must('create', 'web', '--network', 'front', ...few, '--', 'node', '-e', server);
    await instance.must('create', 'plain', ...few, '--', 'node', '-e', server);
  });
  after(async () => {
    inside[Symbol.dispose]();
    const left = await instance.destroy();
    await router[Symbol.asyncDispose]();
    await runAny('ip', ['link', 'delete', device]);
    assert.deepEqual(left, []);
  });

  test('machines are reached from there, and send there, as they are; names are asked for at the gateway', async () => {
    await until(async () => (await router.ask('tcp', '198.18.8.20', 90)) === gateway);
    assert.equal((await heard('web', gateway)).trim(), '198.18.8.20');
    assert.match(await inside.run('web', 'cat /etc/resolv.conf'), /^nameserver 198\.18\.8\.1$/m);
    assert.match(await inside.run('web', 'getent hosts web'), /^198\.18\.8\.20 /);
  });

  test('a floating address is there for a machine of another network, also when the agent was killed', async () => {
    await instance.must('ip', 'float', 'create', 'front', '--address', '198.18.8.25');
    await instance.must('ip', 'float', 'attach', '198.18.8.25', 'plain');
    await until(async () => (await router.ask('tcp', '198.18.8.25', 90)) === gateway);
    assert.equal((await heard('plain', gateway)).trim(), '198.18.8.25');
    await instance.must('stop', 'web');
    const path = servicePidPath(instancePaths(instance.root), 'agent');
    const former = recallProcess(path)!;
    signalProcess(former, 'SIGKILL');
    await until(async () => ![undefined, former.pid].includes(recallProcess(path)?.pid));
    await until(async () => (await inside.shell('plain', 'true')).code === 0);
    assert.equal(await router.ask('tcp', '198.18.8.25', 90), gateway);
    assert.equal((await heard('plain', gateway)).trim(), '198.18.8.25');
    assert.doesNotMatch(await run('ip', ['neigh', 'show', 'proxy']), /198\.18\.8\.20/);
    await instance.must('start', 'web');
    await until(async () => (await router.ask('tcp', '198.18.8.20', 90)) === gateway);
  });

  test('a wire whose device is down is told of until it is up', async () => {
    const told = async () =>
      [await instance.must('info'), (await instance.cenote('doctor')).stdout].map((text) => /^.*198\.18\.8\.0\/24.*$/m.exec(text)?.[0] ?? '');
    await until(async () => !(await told()).includes('')); // the agent was killed a moment ago
    for (const line of await told()) {
      assert.match(line, new RegExp(`198\\.18\\.8\\.0/24 at ${device}`));
      assert.doesNotMatch(line, /not reached/);
    }
    await run('ip', ['link', 'set', device, 'down']);
    await until(async () => (await instance.must('info')).includes('not reached'), 30_000);
    for (const line of await told()) assert.match(line, new RegExp(`198\\.18\\.8\\.0/24.* not reached: .*${device}, which is down`));
    await run('ip', ['link', 'set', device, 'up']);
    await until(async () => !(await instance.must('info')).includes('not reached'), 30_000);
    await until(async () => (await router.ask('tcp', '198.18.8.20', 90)) === gateway);
  });

  test('a device that there is not is named where a machine would need it', async () => {
    await instance.must('network', 'create', 'lost', '--global', '--public', '--subnet', '198.18.9.0/24', '--device', 'nowhere9');
    assert.match(
      await instance.refused('create', 'x', '--network', 'lost', ...few, '--', 'sleep', '1000'),
      /on the wire at nowhere9, and this host has no such device/,
    );
    assert.match(await instance.refused('nic', 'add', 'plain', 'lost'), /nowhere9/);
    await instance.cenote('delete', 'x', '--yes');
    assert.equal(await router.ask('tcp', '198.18.8.25', 90), gateway);
  });
});
