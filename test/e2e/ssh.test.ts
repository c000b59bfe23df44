/**
 * `triton ssh` and Debian's `packer` with its `triton` builder, to the SSH server of a machine: its user-script starts it and lets in whose
 * keys `root_authorized_keys` has. Needs root, OpenSSH's server and packer.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { installed, runAny } from '../../src/exec/run.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { person } from '../support/triton.ts';
import type { Person } from '../support/triton.ts';

/**
 * `/etc` of the platform `host` has nothing of the host's, so neither the server's user nor its settings: the ones it is compiled with will do.
 * Metadata by its first protocol, as mdata-client(7) has it: a line beginning with a dot has one more, and a lone dot ends it.
 */
const sshServer = `#!/bin/sh
set -e
mkdir -p -m 700 /root/.ssh /run/sshd /etc/ssh
id sshd > /dev/null 2>&1 || useradd --system --home-dir /run/sshd --shell /usr/sbin/nologin sshd
: > /etc/ssh/sshd_config
perl -MIO::Socket::UNIX -e '
  my $metadata = IO::Socket::UNIX->new("/.zonecontrol/metadata.sock") or die "$!";
  print $metadata "GET root_authorized_keys\\n";
  while (<$metadata>) { chomp; last if $_ eq "."; next if /^SUCCESS$/; s/^\\.//; print "$_\\n" }
' > /root/.ssh/authorized_keys
ssh-keygen -A
exec /usr/sbin/sshd -E /var/log/sshd.log
`;

const missing = (await Promise.all(['sshd', 'ssh', 'packer'].map(async (name) => ((await installed(name)) ? [] : [name])))).flat();
const skip = skipInstance || (missing.length > 0 ? `needs ${missing.join(', ')}` : false);
const packerTimeoutMs = 120_000;

describe('machines with an SSH server', { skip }, () => {
  let cenote: TestInstance;
  let alice: Person;
  let script: string;
  before(async () => {
    cenote = await startInstance({ poolSizeMib: 3072 });
    const { cloudapi } = await cenote.json<{ cloudapi: string }>('info');
    alice = await person('alice', cloudapi, 'rsa');
    await cenote.must('account', 'create', 'alice', '--key', alice.publicKeyPath);
    script = join(alice.home, 'ssh-server.sh');
    writeFileSync(script, sshServer);
  });
  after(async () => {
    await alice?.[Symbol.asyncDispose]();
    await cenote?.[Symbol.asyncDispose]();
  });

  it('are entered by `triton ssh`', async () => {
    await alice.must('instance', 'create', '-w', '-n', 'door', '--script', script, 'base', 'tiny');
    const key = join(alice.home, '.ssh/id_rsa');
    // No file of the host's user is read or written: not HOME, but the user's own directory is where ssh looks.
    const options = ['-F', 'none', '-i', key, '-o', 'IdentitiesOnly=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'];
    for (let round = 0; ; round += 1) {
      const { code, stdout, stderr } = await alice.triton('instance', 'ssh', 'door', ...options, 'hostname; id -un');
      if (code === 0) {
        assert.equal(stdout, 'door\nroot\n');
        break;
      }
      assert.ok(round < 100 && stderr.includes('Connection refused'), stderr);
      await sleep(200);
    }
    await alice.must('instance', 'delete', '-f', '-w', 'door');
  });

  it('are made into images by packer', async () => {
    const [image] = await alice.lines<{ id: string }>('image', 'ls', '-j', 'name=base');
    const template = join(alice.home, 'template.json');
    const key = join(alice.home, '.ssh/id_rsa');
    const builder = {
      type: 'triton',
      triton_url: alice.url,
      triton_account: 'alice',
      triton_key_id: alice.fingerprint,
      triton_key_material: key,
      source_machine_name: 'source',
      source_machine_image: image!.id,
      source_machine_package: 'tiny',
      source_machine_metadata: { 'user-script': sshServer },
      image_name: 'packed',
      image_version: '1.0.0',
      ssh_username: 'root',
      ssh_private_key_file: key,
    };
    writeFileSync(template, JSON.stringify({ builders: [builder], provisioners: [{ type: 'shell', inline: ['echo packed > /srv/by'] }] }));
    const env = { ...alice.env, CHECKPOINT_DISABLE: '1', PACKER_CONFIG_DIR: alice.home };
    const { code, stdout, stderr } = await runAny('packer', ['build', template], { env, cwd: alice.home, timeoutMs: packerTimeoutMs });
    assert.equal(code, 0, stdout + stderr);
    await alice.must('instance', 'create', '-w', '-n', 'of-it', 'packed', 'tiny');
    assert.deepEqual(
      (await alice.lines<{ name: string }>('instance', 'ls', '-j')).map(({ name }) => name),
      ['of-it'],
      'its source is gone',
    );
    await alice.must('instance', 'delete', '-f', '-w', 'of-it');
    await alice.must('image', 'delete', '-f', 'packed');
  });
});
