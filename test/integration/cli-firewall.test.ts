/** Firewall rules and machines' firewalls on the command line. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Machine } from '../../src/model/control-api.ts';
import type { FirewallRule, FirewallVerdict } from '../../src/model/firewall/wire.ts';
import { cliFixture, failed, succeeded } from '../support/cli-fixture.ts';
import type { CliFixture, CliResult } from '../support/cli-fixture.ts';

describe('firewall rules on the command line', () => {
  let cli: CliFixture;
  const cenote = async (...words: string[]): Promise<CliResult> => succeeded(await cli.cenote(...words));
  before(async () => {
    cli = await cliFixture();
    await cenote('create', 'web', '--tag', 'role=web', '--firewall');
    await cenote('create', 'db', '--tag', 'role=db');
  });
  after(() => cli[Symbol.asyncDispose]());

  it('are made of one word or of many, shown, changed and deleted', async () => {
    const text = 'FROM tag "role" = "web" TO tag "role" = "db" ALLOW tcp PORT 5432';
    const made = await cenote('fwrule', 'create', 'from tag role = web to tag role = db allow tcp port 5432', '--description', 'data');
    const id = /^created firewall rule ([0-9a-f]{8}): (.*)\n$/.exec(made.stdout)!;
    assert.equal(id[2], text);
    const many = (
      await cenote('fwrule', 'create', 'FROM', 'any', 'TO', 'all', 'vms', 'ALLOW', 'icmp', 'TYPE', '8', '--disabled', '--log', '--json')
    ).json<FirewallRule>();
    assert.deepEqual([many.rule, many.enabled, many.log], ['FROM any TO all vms ALLOW icmp TYPE 8', false, true]);
    assert.match(
      (await cenote('fwrule', 'ls')).stdout,
      /^ID +ENABLED +OF +RULE +AGE\n[0-9a-f]{8} +yes +account +FROM tag .*\n[0-9a-f]{8} +no +account +FROM any .*\n$/,
    );
    assert.equal((await cenote('fwrule', 'ls', '--machine', 'db', '--json')).json<FirewallRule[]>().length, 2);
    assert.match((await cenote('fwrule', 'get', id[1]!)).stdout, /Rule: +FROM tag.*\nDescription: +data\nEnabled: +yes\nAbout: +machines of default\n/);
    assert.match((await cenote('fwrule', 'enable', many.id)).stdout, /^enabled firewall rule [0-9a-f]{8}: FROM any/);
    assert.match((await cenote('fwrule', 'disable', many.id.slice(0, 8))).stdout, /^disabled firewall rule/);
    assert.match(
      (await cenote('fwrule', 'update', many.id, 'FROM any TO vm', (await machine('db')).id, 'ALLOW ah', '--log', 'off')).stdout,
      /^updated firewall rule .* ALLOW ah\n$/,
    );
    assert.match((await cenote('fwrule', 'machines', many.id)).stdout, /^NAME +ADDRESS +FIREWALL +STATE\ndb +\S+ +off +running\n$/);
    failed(await cli.cenote('fwrule', 'delete', id[1]!, many.id), 2, /this would delete 2 firewall rules/);
    assert.equal((await cenote('fwrule', 'delete', many.id)).stdout, `deleted firewall rule ${many.id}\n`);
    failed(await cli.cenote('fwrule', 'get', many.id), 4, /there is no firewall rule/);
    const named = async (name: string): Promise<CliResult> => cli.cenote('fwrule', 'create', 'FROM any TO vm', name, 'ALLOW tcp PORT 80');
    const { id: whole } = await machine('db');
    failed(await named('db'), 2, new RegExp(`a rule names a machine by its whole id, and "db" is none\nwrite: vm ${whole}; or name machines by a tag`));
    failed(await named('boutique'), 2, /and "boutique" is none\nthe ids of machines: cenote ls -o name,id; or name machines by a tag/);
  });

  const machine = async (name: string): Promise<Machine> => (await cenote('get', name, '--json')).json<Machine>();

  it('say what they would do', async () => {
    assert.match((await cenote('firewall', 'test', 'web', 'db', 'tcp', '5432')).stdout, /^allowed\n {2}out of web: allowed by rule [0-9a-f]{8}: FROM tag/);
    const blocked = await cli.cenote('firewall', 'test', '192.0.2.1', 'web', 'tcp', '80');
    assert.deepEqual([blocked.code, blocked.stdout], [1, 'blocked\n  into web: blocked by default\n']);
    assert.equal((await cenote('firewall', 'test', 'db', '192.0.2.1', 'udp', '53')).stdout, 'allowed\n  neither end has its firewall on\n');
    assert.equal((await cenote('firewall', 'test', 'web', 'db', 'esp', '--json')).json<FirewallVerdict>().allowed, true);
    assert.equal((await cli.cenote('firewall', 'test', 'db', 'web', 'icmp', '8:0')).code, 1);
    failed(await cli.cenote('firewall', 'test', 'web', 'db', 'tcp'), 2, /PORT: is missing/);
    failed(await cli.cenote('firewall', 'test', 'web', 'db', 'gre', '1'), 2, /PROTO: "gre" is none of tcp, udp, icmp, icmp6, ah, esp/);
    failed(await cli.cenote('firewall', 'test', 'web', 'dbs', 'tcp', '1'), 4, /did you mean db\?/);
  });

  it('are applied by machines with their firewall on', async () => {
    assert.equal((await machine('db')).firewallEnabled ?? false, false);
    assert.match((await cenote('firewall', 'enable', 'db')).stdout, /^turned on the firewall of db in \d+ ms\n$/);
    assert.match((await cenote('get', 'db')).stdout, /Firewall: +on\n/);
    await cenote('update', 'db', '--firewall', 'off');
    assert.equal((await machine('db')).firewallEnabled, false);
    failed(await cli.cenote('update', 'db', '--firewall', 'yes'), 2, /--firewall: "yes" is neither on nor off/);
    failed(await cli.cenote('firewall', 'disable', 'web', 'db'), 2, /this would turn off the firewall of 2 machines: web, db/);
    await cenote('firewall', 'disable', 'web', 'db', '--yes');
    assert.equal((await machine('web')).firewallEnabled, false);
  });

  it('are told what is wrong with them, and proposed by the shell', async () => {
    failed(await cli.cenote('fwrule', 'create', 'FROM any TO any ALLOW tcp PORT 80'), 2, /rule does not affect VMs/);
    failed(
      await cli.cenote('fwrule', 'create', 'FROM foo'),
      2,
      /^cenote: the rule goes on after "FROM" with "foo"; what may stand there is .*, tag\nsuch as: FROM any TO tag role = web ALLOW tcp PORT 80\n$/,
    );
    failed(await cli.cenote('fwrule', 'create', 'bogus'), 2, /^cenote: the rule begins with "bogus"; what may stand there is FROM\n/);
    failed(await cli.cenote('fwrule', 'create', 'FROM any TO tag a'), 2, /the rule ends after "FROM any TO tag a"; what may stand there is /);
    failed(await cli.cenote('fwrule', 'get', 'xyz'), 2, /"xyz" is no id of a rule/);
    failed(await cli.cenote('fwrule', 'update', '0000'), 2, /nothing to change/);
    const [id] = (await cenote('fwrule', 'ls', '--json')).json<FirewallRule[]>().map((rule) => rule.id);
    assert.equal((await cenote('__complete', 'fwrule', 'get', id!.slice(0, 3))).stdout.trim(), id);
    assert.deepEqual((await cenote('__complete', 'firewall', 'test', 'web', 'db', '')).stdout.trim().split('\n'), ['tcp', 'udp', 'icmp', 'icmp6', 'ah', 'esp']);
    assert.match((await cenote('fwrule', 'create', '--help')).stdout, /fwrule create FROM subnet 192\.0\.2\.0\/24/);
  });
});
