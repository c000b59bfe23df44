/** The firewall of real machines, through the front door: rules and tags over the API, packets between machines, and what is left after crashes and deletes. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import type { CreateMachine } from '../../src/model/control-api.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { until } from './network-world.ts';

const whole = { wait: 120 };
const server =
  "const u = require('node:dgram').createSocket('udp4'); u.on('message', (m, f) => u.send(m, f.port, f.address)); u.bind(90); require('node:net').createServer((s) => { s.on('error', () => {}); s.end('hello'); }).listen(90)";
const small = (name: string, more: Partial<CreateMachine> = {}): CreateMachine => ({
  name,
  image: 'node',
  command: ['node', '-e', server],
  resources: { diskMib: 64, memoryMib: 64, cpuMillis: 10 },
  stopGraceSeconds: 0,
  ...more,
});
const tables = async (): Promise<string> => (await runAny('nft', ['list', 'tables'])).stdout;

describe('the firewall of machines', { skip: skipInstance, timeout: 600_000 }, () => {
  let instance: TestInstance;
  let services: OwnServices;
  const addresses = new Map<string, string>();
  const create = async (name: string, more: Partial<CreateMachine> = {}) => {
    const { job, machine } = await services.control.machineCreate(small(name, more), whole);
    assert.equal(job.state, 'succeeded', job.reason ?? '');
    addresses.set(name, machine!.address);
  };
  const asks = async (from: string, to: string): Promise<boolean> => {
    const script = `const s = require('node:net').connect(90, '${addresses.get(to)}'); s.setTimeout(1000, () => process.exit(1)); s.on('data', () => process.exit(0)); s.on('error', () => process.exit(1)); s.on('close', () => process.exit(1))`;
    return (await instance.cenote('exec', from, '--', 'node', '-e', script)).code === 0;
  };
  const cenote = (...words: string[]) => instance.must(...words);
  const ownTable = async (): Promise<boolean> => (await tables()).includes(`cenote-${services.config.instance}-firewall`);

  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
    services = await OwnServices.take(instance);
    await services.startBoth();
    await create('web', { tags: { role: 'web' } });
    await create('db', { firewallEnabled: true, tags: { role: 'db' } });
    await until(() => asks('db', 'web'));
  });
  after(async () => {
    await services[Symbol.asyncDispose]();
    await instance[Symbol.asyncDispose]();
  });

  test('rules, tags and the switch by the command line', async () => {
    assert.equal(await asks('web', 'db'), false, 'closed from its first packet on');
    const made = await cenote('fwrule', 'create', 'FROM tag role = web TO tag role = db ALLOW tcp PORT 90', '--description', 'data');
    assert.match(made, /created firewall rule [0-9a-f]{8}: FROM tag "role" = "web" TO tag "role" = "db" ALLOW tcp PORT 90\n/);
    const id = /rule ([0-9a-f]{8})/.exec(made)![1]!;
    assert.ok(await asks('web', 'db'));
    assert.match(await cenote('firewall', 'test', 'web', 'db', 'tcp', '90'), new RegExp(`^allowed\n  into db: allowed by rule ${id}`));
    await cenote('update', 'web', '--tag', 'role=other');
    assert.equal(await asks('web', 'db'), false);
    const told = await instance.cenote('firewall', 'test', 'web', 'db', 'tcp', '90');
    assert.deepEqual([told.code, told.stdout], [1, 'blocked\n  into db: blocked by default\n']);
    await cenote('update', 'web', '--tag', 'role=web');
    assert.ok(await asks('web', 'db'));
    await cenote('fwrule', 'disable', id);
    assert.equal(await asks('web', 'db'), false);
    assert.match(await cenote('why', 'db'), /\d+ packets? dropped: by its firewall/);
    await cenote('firewall', 'disable', 'db');
    assert.ok(await asks('web', 'db'));
    assert.equal(await ownTable(), false, 'nobody needs it');
    await cenote('firewall', 'enable', 'db');
    await cenote('fwrule', 'enable', id);
    assert.ok(await asks('web', 'db'));
    assert.match(await cenote('fwrule', 'machines', id), /db .* on .*\nweb .* off/);
    assert.match(await cenote('fwrule', 'ls', '--machine', 'db'), new RegExp(id));
  });

  test('a machine that is stopped, started, restarted by an update or made anew has its rules', async () => {
    await cenote('stop', 'db');
    await cenote('start', 'db');
    await until(() => asks('web', 'db'));
    await create('guest');
    assert.equal(await asks('guest', 'db'), false);
    await services.control.machineUpdate('db', { env: { X: 'y' }, tags: { role: 'nothing' } }, whole);
    assert.equal(await asks('web', 'db'), false, 'another tag with a restart');
    await services.control.machineUpdate('db', { tags: { role: 'db' } }, whole);
    await until(() => asks('web', 'db'));
    await cenote('delete', 'guest');
  });

  test('without an agent, and after it was killed, rules hold', async () => {
    await services.stop('agent', 'SIGKILL');
    const { id } = await services.control.firewallRuleCreate({ rule: 'FROM ip 192.0.2.1 TO all vms ALLOW tcp PORT 1', enabled: true });
    assert.equal((await services.control.firewallRuleGet(id)).applied, false);
    await services.startAgent();
    await until(async () => (await services.control.firewallRuleGet(id)).applied);
    assert.ok(await asks('web', 'db'));
    await create('late');
    assert.equal(await asks('late', 'db'), false);
    await services.control.firewallRuleDelete(id);
  });

  test('nothing is left of machines that are gone', async () => {
    for (const name of ['late', 'db']) await cenote('delete', name);
    assert.equal(await ownTable(), false);
    await create('again', { firewallEnabled: true });
    assert.ok(await ownTable());
    assert.equal(await asks('web', 'again'), false);
  });
});
