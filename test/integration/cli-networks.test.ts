/** Networks, addresses and NICs on the command line. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Machine } from '../../src/model/control-api.ts';
import type { MachineNic, Network, NetworkAddress } from '../../src/model/network-api.ts';
import { cliFixture, failed, succeeded } from '../support/cli-fixture.ts';
import type { CliFixture, CliResult } from '../support/cli-fixture.ts';

describe('networks on the command line', () => {
  let cli: CliFixture;
  const cenote = async (...words: string[]): Promise<CliResult> => succeeded(await cli.cenote(...words));
  const says = async (expected: RegExp, ...words: string[]) => assert.match((await cenote(...words)).stdout, expected, words.join(' '));
  const refuses = async (exit: number, expected: RegExp, ...words: string[]) => failed(await cli.cenote(...words), exit, expected);
  before(async () => {
    cli = await cliFixture();
  });
  after(() => cli[Symbol.asyncDispose]());

  it('are made, shown, changed and deleted', async () => {
    await says(/^created VLAN 100, shop\n$/, 'vlan', 'create', '100', 'shop', '--description', 'all of it');
    await says(/^updated VLAN 100, store\n$/, 'vlan', 'update', '100', '--name', 'store');
    await says(/^VLAN +NAME +NETWORKS +DESCRIPTION\n +100 +store +0 +all of it\n$/, 'vlan', 'ls');
    await says(
      /^created network back, 192\.168\.10\.0\/24: machines have 192\.168\.10\.2 to 192\.168\.10\.254\n$/,
      'network',
      'create',
      'back',
      '--subnet',
      '192.168.10.0/24',
    );
    await says(
      /machines have 10\.9\.1\.1 to 10\.9\.1\.99\n$/,
      'network',
      'create',
      'db',
      '--subnet',
      '10.9.0.0/22',
      '--range',
      '10.9.1.1-10.9.1.99',
      '--no-gateway',
      '--no-nat',
      '--resolver',
      '192.0.2.1',
      '--mtu',
      '9000',
    );
    await says(
      /^NAME +ID +OF +VLAN +SUBNET +GATEWAY +OUTSIDE\ndefault \* .* yes\nback .* 100 +192\.168\.10\.0\/24 +192\.168\.10\.1 +yes\ndb .* no\n$/,
      'network',
      'ls',
    );
    await says(
      /^Name: +db\n(.*\n)*Gateway: +none\nRange: +10\.9\.1\.1 to 10\.9\.1\.99\nResolvers: +192\.0\.2\.1\nOutside: +no\nMTU: +9000\n/,
      'network',
      'get',
      'db',
    );
    await says(/^updated network rear\n$/, 'network', 'update', 'back', '--name', 'rear', '--nat', 'off', '--route', '10.7.0.0/16=192.168.10.9');
    await says(/Routes: +10\.7\.0\.0\/16 by 192\.168\.10\.9\n/, 'network', 'get', 'rear');
    await says(/^updated network rear\n$/, 'network', 'update', 'rear', '--no-routes');
    await refuses(2, /is not a route such as/, 'network', 'update', 'rear', '--route', '10.7.0.0/16');
    const rear = (await cenote('network', 'ls', '--json')).json<Network[]>().find(({ name }) => name === 'rear');
    assert.deepEqual([rear!.name, rear!.internetNat], ['rear', false]);
    await says(/^new machines are on network rear\n$/, 'network', 'default', rear!.id.slice(0, 8));
    await says(/^Name: +rear \(default\)/, 'network', 'get', 'rear');
    await refuses(5, /VLAN 100 has 2 networks, such as "db", "rear"/, 'vlan', 'delete', '100');
    await refuses(4, /no network "nosuch"\nsee what there is: cenote network ls/, 'network', 'get', 'nosuch');
    await refuses(2, /overlaps/, 'network', 'create', 'more', '--subnet', '192.168.0.0/16');
    await refuses(2, /is not two addresses such as/, 'network', 'create', 'more', '--subnet', '192.168.20.0/24', '--range', '5');
    await refuses(2, /nothing to change/, 'network', 'update', 'rear');
    await refuses(2, /^cenote: --subnet is missing\nwrite the addresses/, 'network', 'create', 'none');
    await refuses(2, /^cenote: --subnet: /, 'network', 'create', 'none', '--subnet', 'x');
    await refuses(2, /^cenote: --range: /, 'network', 'create', 'none', '--subnet', '10.5.0.0/24', '--range', '10.6.0.1-10.6.0.9');
    await refuses(2, /^cenote: --network: .*"nosuch"/, 'create', 'm', '--network', 'nosuch', '--memory', '900T');
  });

  it('have machines with NICs and addresses', async () => {
    await cenote('create', 'web', '--network', 'default', '--network', 'rear=192.168.10.9');
    await cenote('create', 'app');
    await says(/^NIC +NETWORK +ADDRESS +GATEWAY +MAC +STATE\neth0 \* +default .*\neth1 +rear +192\.168\.10\.9 .* running\n$/, 'nic', 'ls', 'web');
    await says(/Address: +10\.77\.\d+\.\d+\n +192\.168\.10\.9 \(eth1\)\n/, 'get', 'web');
    assert.equal((await cenote('get', 'app', '--json')).json<Machine>().address, '192.168.10.2');
    await says(/^web is on network db: eth2, 10\.9\.1\.1\n$/, 'nic', 'add', 'web', 'db');
    await says(/^web has 192\.168\.10\.9, 192\.168\.10\.3 on network rear\n$/, 'nic', 'address', 'add', 'web', 'rear');
    await says(/^web has .*192\.168\.10\.30 on network rear\n$/, 'nic', 'address', 'add', 'web', 'rear', '--address', '192.168.10.30');
    await says(/eth1 +rear +192\.168\.10\.9, 192\.168\.10\.3, 192\.168\.10\.30 /, 'nic', 'ls', 'web');
    await says(/ +192\.168\.10\.3 \(eth1\)\n/, 'get', 'web');
    await says(/^web no longer has 192\.168\.10\.3\n$/, 'nic', 'address', 'remove', 'web', 'rear', '192.168.10.3');
    await says(/^web is no longer on network rear\n$/, 'nic', 'remove', 'web', 'rear');
    await says(/^web is on network rear: eth1, 192\.168\.10\.77\n$/, 'nic', 'add', 'web', 'rear=192.168.10.77');
    await refuses(2, /--address: an address is given with the network already/, 'nic', 'add', 'web', 'rear=192.168.10.7', '--address', '192.168.10.7');
    await says(/^web is no longer on network rear\n$/, 'nic', 'remove', 'web', 'rear');
    assert.equal((await cenote('nic', 'ls', 'web', '--json')).json<MachineNic[]>().length, 2);
    await refuses(4, /web has no NIC on network rear/, 'nic', 'remove', 'web', 'rear');
    await refuses(6, /is the primary NIC[^]*cenote nic primary NAME NETWORK/, 'nic', 'remove', 'web', 'default');
    await says(/^web is on network rear/, 'nic', 'add', 'web', 'rear');
    await says(/^web has network rear as its primary one: eth1, 192\.168\.10\.\d+\n$/, 'nic', 'primary', 'web', 'rear');
    await refuses(6, /is the primary NIC of machine "web" already/, 'nic', 'primary', 'web', 'rear');
    await says(/^eth0 +default(.*\n)+eth1 \* +rear/m, 'nic', 'ls', 'web');
    await says(/as its primary one/, 'nic', 'primary', 'web', 'default');
    await says(/no longer/, 'nic', 'remove', 'web', 'rear');
    await says(
      /^reserved 192\.168\.10\.20 of network rear\nreserved 192\.168\.10\.21 of network rear\n$/,
      'ip',
      'reserve',
      'rear',
      '192.168.10.20',
      '192.168.10.21',
    );
    await says(/^released 192\.168\.10\.21 of network rear\n$/, 'ip', 'release', 'rear', '192.168.10.21');
    await says(/^ADDRESS +MACHINE +RESERVED\n192\.168\.10\.2 +app +no\n192\.168\.10\.20 +yes\n$/, 'ip', 'ls', 'rear');
    assert.equal((await cenote('ip', 'ls', 'default', '--json')).json<NetworkAddress[]>().length, 3);
    await refuses(2, /is not an address such as/, 'ip', 'reserve', 'rear', 'x');
    await refuses(5, /has machines on it: app/, 'network', 'delete', 'rear');
    await cenote('delete', 'web', 'app', '--yes');
    await says(/^192\.168\.10\.77 of network rear was not reserved\n$/, 'ip', 'release', 'rear', '192.168.10.77');
    await cenote('network', 'delete', 'rear', 'db', '--yes');
    await cenote('vlan', 'delete', '100');
    assert.equal((await cenote('__complete', 'network', 'get', 'de')).stdout.trim(), 'default');
  });

  it('of the operator, and pools of them, are everybody’s or those of some', async () => {
    await cenote('account', 'create', 'alice');
    await says(
      /^created network front, 203\.0\.113\.0\/29: machines have 203\.0\.113\.2 to 203\.0\.113\.6\n$/,
      'network',
      'create',
      'front',
      '--global',
      '--public',
      '--subnet',
      '203.0.113.0/29',
      '--owner',
      'alice',
      '--owner',
      'default',
    );
    await cenote('network', 'create', 'more', '--global', '--subnet', '10.99.0.0/29');
    await says(/^Name: +front\n(.*\n)*Of: +the operator, for alice, default\nPublic: +yes(.*\n)*MTU: +1500\n/, 'network', 'get', 'front');
    await says(/^updated network front\n$/, 'network', 'update', 'front', '--everybody');
    await says(/Of: +the operator: everybody’s/, 'network', 'get', 'front');
    await says(/^created network pool both of more, front\n$/, 'network', 'pool', 'create', 'both', 'more', 'front');
    await says(/^updated network pool both of front, more\n$/, 'network', 'pool', 'update', 'both', '--network', 'front', '--network', 'more', '-d', 'all');
    await says(/^NAME +NETWORKS +DESCRIPTION\nboth +front, more +all\n$/, 'network', 'pool', 'ls');
    await cenote('create', 'web', '--network', 'both');
    await says(/^web is on network more: eth1, 10\.99\.0\.2\n$/, 'nic', 'add', 'web', 'both');
    await says(/eth0 \* +front +203\.0\.113\.2 +203\.0\.113\.1 .*\neth1 +more/, 'nic', 'ls', 'web');
    await refuses(2, /the machine is on every network of the pool "both" already/, 'nic', 'add', 'web', 'both');
    await cenote('nic', 'address', 'add', 'web', 'front');
    await refuses(5, /"front" has machines on it: web\n/, 'network', 'delete', 'front');
    await cenote('delete', 'web');
    await refuses(5, /"front" is in the network pool "both"/, 'network', 'delete', 'front');
    await says(/^deleted network pool both\n$/, 'network', 'pool', 'delete', 'both');
    await cenote('network', 'delete', 'front', 'more', '--yes');
    await refuses(2, /--tag: is of a wire/, 'network', 'create', 'x', '--global', '--public', '--subnet', '10.98.0.0/24', '--tag', '7');
    await refuses(2, /vlan: a shared network is of no VLAN/, 'network', 'create', 'x', '--global', '--subnet', '10.98.0.0/24', '--vlan', '2');
    await refuses(2, /--owner: is said of shared networks only/, 'network', 'create', 'x', '--subnet', '10.98.0.0/24', '--owner', 'alice');
  });

  it('say what there is, where one is asked for that is not', async () => {
    await refuses(2, /there is no network "nope"\nsee what there is: cenote network ls\n/, 'create', 'lost', '--network', 'nope');
  });

  it('float from one machine to another', async () => {
    await cenote('network', 'create', 'front', '--global', '--public', '--subnet', '203.0.113.0/29', '--device', 'eth1', '--tag', '7');
    await says(/^Wire: +at eth1, tag 7$/m, 'network', 'get', 'front');
    await cenote('create', 'one');
    await cenote('create', 'two');
    await says(/^created floating address 203\.0\.113\.2 of network front\n$/, 'ip', 'float', 'create', 'front');
    await says(/^203\.0\.113\.2 leads to one\n$/, 'ip', 'float', 'attach', '203.0.113.2', 'one');
    await says(/^203\.0\.113\.2 leads to two\n$/, 'ip', 'float', 'attach', '203.0.113.2', 'two');
    await says(/^ADDRESS +NETWORK +MACHINE\n203\.0\.113\.2 +front +two\n$/, 'ip', 'float', 'ls');
    await says(/^203\.0\.113\.2 +two +floating$/m, 'ip', 'ls', 'front');
    await says(/^Address: +\S+\nFloating: +203\.0\.113\.2\n/m, 'get', 'two');
    assert.doesNotMatch((await cenote('get', 'one')).stdout, /Floating/);
    await says(/^NIC .* FLOATING\neth0 \* .* 203\.0\.113\.2\n$/, 'nic', 'ls', 'two');
    await refuses(5, /is attached to machine "two"\ndetach it first/, 'ip', 'float', 'delete', '203.0.113.2');
    await says(/203\.0\.113\.3/, 'ip', 'float', 'create', 'front');
    await refuses(2, /this would delete 2 floating addresses: /, 'ip', 'float', 'delete', '203.0.113.2', '203.0.113.3');
    await refuses(4, /there is no floating address 203\.0\.113\.9; none was given back\n/, 'ip', 'float', 'delete', '203.0.113.3', '203.0.113.9', '--yes');
    await says(/^203\.0\.113\.3 +front/m, 'ip', 'float', 'ls');
    await says(/^203\.0\.113\.2 leads to no machine\n$/, 'ip', 'float', 'detach', '203.0.113.2');
    await says(/^deleted floating address 203\.0\.113\.2\n$/, 'ip', 'float', 'delete', '203.0.113.2');
    await refuses(4, /there is no floating address 203\.0\.113\.2/, 'ip', 'float', 'detach', '203.0.113.2');
  });
});
