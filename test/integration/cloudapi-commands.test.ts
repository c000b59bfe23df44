/** Commands of `triton` that no other test uses, each once: what passes, and what is refused in form. `sdc-*` too. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import { tritonWorld } from '../support/triton-world.ts';
import { clientsDirectory } from '../support/triton.ts';

const oldNode = join(import.meta.dirname, '../clients/old-node.cjs');

test('reading', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice } = here;
  await writeFile(join(alice.home, 'script.sh'), '#!/bin/sh\necho hello\n');
  await writeFile(join(alice.home, 'meta.json'), '{"shape":"round"}');
  await alice.must('instance', 'create', '-w', '-n', 'web', '-t', 'role=web', '-t', 'up=true', '-m', '@meta.json', '--script', 'script.sh', 'base', 'small');
  await alice.must('instance', 'create', '-w', '-n', 'db', '-t', 'role=db', '--deletion-protection', 'base', 'tiny');
  const must = async (expected: RegExp, ...words: string[]) => assert.match(await alice.must(...words), expected, words.join(' '));
  const names = async (...words: string[]) => (await alice.lines<{ name: string }>('instance', 'ls', '-j', ...words)).map(({ name }) => name).toSorted();

  assert.deepEqual(await names(), ['db', 'web']);
  assert.deepEqual(await names('tag.role=web'), ['web']);
  assert.deepEqual(await names('state=running', 'name=db'), ['db']);
  for (const state of ['stopped', 'offline', 'failed']) assert.deepEqual(await names(`state=${state}`), []);
  assert.deepEqual(await names('memory=256'), ['web']);
  await must(/web/, 'ls');
  await must(/PRIMARYIP/, 'instance', 'ls', '-l');
  await must(/^10\.77\.\d+\.\d+$/m, 'ip', 'web');
  await must(/provision/, 'instance', 'audit', 'web');
  await must(/running/, 'instance', 'wait', '-s', 'running,stopped', 'web');
  await must(/round/, 'instance', 'metadata', 'ls', 'web');
  await must(/echo hello/, 'instance', 'metadata', 'get', 'web', 'user-script');
  await must(/ssh-ed25519/, 'instance', 'metadata', 'get', 'web', 'root_authorized_keys');
  await must(/square/, 'instance', 'metadata', 'set', '-w', 'web', 'shape=square');
  await alice.must('instance', 'metadata', 'delete', '-f', '-w', 'web', 'shape');
  assert.doesNotMatch(await alice.must('instance', 'metadata', 'ls', 'web'), /square/);
  assert.deepEqual(await alice.json('instance', 'tag', 'ls', 'web'), { role: 'web', up: true });
  await alice.must('instance', 'tag', 'set', '-w', 'web', 'count=5', 'up=false');
  assert.deepEqual(await alice.json('instance', 'tag', 'ls', 'web'), { role: 'web', up: false, count: 5 });
  await must(/5/, 'instance', 'tag', 'get', 'web', 'count');
  await alice.must('instance', 'tag', 'replace-all', '-w', 'web', 'only=one');
  await alice.must('instance', 'tag', 'delete', '-w', 'web', 'only');
  assert.deepEqual(await alice.json('instance', 'tag', 'ls', 'web'), {});
  await must(/02:ce:/, 'instance', 'nic', 'ls', 'web');
  await must(/tiny/, 'package', 'get', 'tiny');
  await must(/linux/, 'image', 'get', 'base');
  await must(/^\S+ +base /, 'image', 'ls', '-H', 'name=~as');
  assert.equal(await alice.must('image', 'ls', '-H', 'name=~nosuch'), '');
  await must(/^\S+ +small .*\n$/, 'package', 'ls', '-H', 'name=~mal');
  await must(/^\S+ +small .*\n$/, 'package', 'ls', '-H', 'name=sm*');
  await must(/default/, 'network', 'get', 'default');
  await must(/default/, 'network', 'get-default');
  await must(/10\.77\./, 'network', 'ip', 'ls', 'default');
  await alice.must('network', 'set-default', 'default');
  await alice.must('account', 'update', 'firstName=Alice', 'companyName=Example');
  await must(/Alice/, 'account', 'get');
  await must(/pong/, 'cloudapi', '/--ping');
  await must(/"login": ?"alice"/, 'cloudapi', '/my');
  await writeFile(
    join(alice.home, 'profile.json'),
    JSON.stringify({ name: 'here', url: alice.url, account: 'alice', keyId: alice.fingerprint, insecure: false }),
  );
  await alice.must('profile', 'create', '--no-docker', '-f', 'profile.json');
  await must(/here/, 'profile', 'ls');
  await must(/web/, '-p', 'here', 'instance', 'ls');
  await must(/TRITON_URL|SDC_URL/, 'env', 'here');

  const kept = await alice.triton('instance', 'delete', '-f', 'db');
  assert.match(kept.stderr, /CannotDestroyMachine|deletion_protection/);
  await alice.must('instance', 'disable-deletion-protection', '-w', 'db');
  await alice.must('instance', 'enable-deletion-protection', '-w', 'db');
  await alice.must('instance', 'disable-deletion-protection', '-w', 'db');
  await alice.must('instance', 'snapshot', 'create', '-w', '-n', 'first', 'db');
  await must(/first/, 'instance', 'snapshot', 'ls', 'db');
  await must(/created/, 'instance', 'snapshot', 'get', 'db', 'first');
  const again = await alice.triton('instance', 'snapshot', 'create', '-w', '-n', 'first', 'db');
  assert.deepEqual([again.code, /there is a snapshot first already/.test(again.stderr)], [1, true], again.stderr);
  await alice.must('instance', 'start', '-w', '--snapshot=first', 'db');
  await alice.must('instance', 'snapshot', 'delete', '-f', '-w', 'db', 'first');
  await alice.must('key', 'add', '-n', 'other', await otherKey(alice.home));
  await must(/other/, 'key', 'get', 'other');
  await alice.must('key', 'delete', '-y', 'other');
});

const otherKey = async (home: string): Promise<string> => {
  const { default: sshpk } = await import('sshpk');
  await writeFile(join(home, 'other.pub'), `${sshpk.generatePrivateKey('ecdsa').toPublic().toString('ssh')}\n`);
  return 'other.pub';
};

test('refused in form', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice } = here;
  await alice.must('instance', 'create', '-w', '-n', 'web', '-a', 'instance!=~x', 'base', 'tiny');
  const refused = async (expected: RegExp, ...words: string[]) => {
    const { code, stderr, stdout } = await alice.triton(...words);
    assert.notEqual(code, 0, words.join(' '));
    assert.match(`${stderr}${stdout}`, expected, words.join(' '));
  };
  const unavailable = /not available in this datacenter/;
  await refused(unavailable, 'volume', 'create', '-n', 'data');
  await refused(unavailable, 'instance', 'migration', 'begin', 'web');
  await refused(/has no disks of its own/, 'instance', 'disk', 'ls', 'web');
  await refused(/only lx/, 'instance', 'create', '--brand', 'bhyve', 'base', 'tiny');
  await refused(/state: must be equal to one of/, 'instance', 'ls', 'state=runing');
  await refused(/image: must match format "uuid"/, 'instance', 'ls', 'image=base');
  await refused(/no encrypted hosts/, 'instance', 'create', '--encrypted', 'base', 'tiny');
  await refused(/no disks of its own/, 'instance', 'create', '--disk', '{"size":1024}', 'base', 'tiny');
  await refused(/no shared volumes/, 'instance', 'create', '-v', 'data:/mnt', 'base', 'tiny');
  await refused(/"a b" is not a valid machine name: it has letters and digits/, 'instance', 'create', '-n', 'a b', 'base', 'tiny');
  await refused(/delegated/, 'instance', 'create', '--delegate-dataset', 'base', 'tiny');
  await refused(/one host/, 'instance', 'create', '-a', 'instance!=web', 'base', 'tiny');
  assert.equal((await alice.must('volume', 'ls', '-H')).trim(), '');
  assert.equal((await alice.must('instance', 'migration', 'ls', '-H')).trim(), '');
  for (const words of [
    ['instance', 'get', 'nosuch'],
    ['package', 'get', 'nosuch'],
    ['image', 'get', 'nosuch'],
    ['network', 'get', 'nosuch'],
  ])
    assert.equal((await alice.triton(...words)).code, 3, words.join(' '));
});

test('the older sdc commands', async () => {
  await using here = await tritonWorld('rsa');
  const { alice } = here;
  const bin = join(await clientsDirectory(), 'node_modules/smartdc/bin');
  const sdc = async (name: string, ...args: string[]) => {
    const { code, stdout, stderr } = await runAny(process.execPath, ['--require', oldNode, join(bin, `sdc-${name}`), ...args], {
      env: alice.env,
      cwd: alice.home,
      timeoutMs: 60_000,
    });
    assert.equal(code, 0, `sdc-${name}: ${stderr}`);
    return stdout;
  };
  assert.match(await sdc('getaccount'), /"login": "alice"/);
  assert.match(await sdc('listpackages'), /small/);
  assert.match(await sdc('listimages'), /base/);
  assert.match(await sdc('listkeys'), /alice@laptop/);
  const image = '11111111-1111-4111-8111-111111111111';
  const [, id = ''] = /"id": "([^"]+)"/.exec(await sdc('createmachine', '--image', image, '--package', 'tiny', '--name', 'old'))!;
  assert.match(await sdc('listmachines'), /"name": "old"/);
  const idIn = (text: string) => /"id": "([^"]+)"/.exec(text)![1]!;
  const user = idIn(await sdc('user', 'create', '--login=carol', '--email=carol@example.com', '--password=secret123'));
  const policy = idIn(await sdc('policy', 'create', '--name=read', '--rules=CAN getmachine'));
  const role = idIn(await sdc('role', 'create', '--name=ops', '--members=carol', '--policies=read'));
  // These say in the body once more whom the path names.
  assert.match(await sdc('user', 'update', '--email=c@example.com', user), /c@example.com/);
  assert.match(await sdc('user', 'change-password', '--password=secret456', '--password-confirmation=secret456', user), /carol/);
  assert.match(await sdc('policy', 'update', '--rules=CAN listmachines', policy), /listmachines/);
  assert.match(await sdc('role', 'update', '--name=watch', role), /watch/);
  await sdc('fabric', 'vlan', 'create', '--vlan_id=2', '--name=two');
  const range = ['--subnet=10.9.0.0/24', '--provision_start_ip=10.9.0.5', '--provision_end_ip=10.9.0.9'];
  assert.match(await sdc('fabric', 'network', 'create', '--vlan_id=2', '--name=back', ...range), /"vlan_id": 2/);
  await sdc('stopmachine', id);
  assert.match(await sdc('getmachine', id), /"type": "smartmachine"/);
  await sdc('deletemachine', id);
});
