/** CloudAPI on the real host: the three lines of the README, then an instance made, looked at and deleted by `triton`, and used by `cenote` with a profile. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import { launcher } from '../support/cli-fixture.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import { person } from '../support/triton.ts';
import type { Person } from '../support/triton.ts';

test('triton on a real host', { skip: skipInstance }, async () => {
  await using cenote = await startInstance({ poolSizeMib: 3072 });
  const { cloudapi } = await cenote.json<{ cloudapi: string }>('info');
  assert.match(cloudapi, /^http:\/\/127\.0\.0\.1:\d+$/);
  await using alice = await person('alice', cloudapi, 'ed25519');
  const said = await cenote.must('account', 'create', 'alice', '--key', alice.publicKeyPath);
  assert.match(said, new RegExp(`TRITON_URL=${cloudapi} TRITON_ACCOUNT=alice TRITON_KEY_ID=${alice.fingerprint}`));
  await alice.must('instance', 'create', '-w', '-n', 'web', '-m', 'colour=blue', 'base', 'tiny');
  const web = await alice.json<{ state: string; ips: string[]; nics: { mac: string; netmask: string }[]; id: string }>('instance', 'get', 'web');
  assert.equal(web.state, 'running');
  assert.equal((await alice.must('instance', 'ip', 'web')).trim(), web.ips[0]);
  await byProfile(alice, cloudapi);
  // Of another account's machine the operator's own list knows nothing.
  assert.deepEqual(await cenote.json('ls'), []);
  await alice.must('instance', 'snapshot', 'create', '-w', '-n', 'first', 'web');
  await alice.must('instance', 'reboot', '-w', 'web');
  await alice.must('instance', 'delete', '-f', '-w', 'web');
  assert.equal((await alice.triton('instance', 'get', web.id)).code, 3);
  // With TLS, on an address of the loopback that is not written as one; and back.
  await cenote.must('up', '--no-hello', '--cloudapi', '[::ffff:127.0.0.1]:17443');
  const moved = (await cenote.json<{ cloudapi: string }>('info')).cloudapi;
  assert.equal(moved, 'https://[::ffff:127.0.0.1]:17443');
  await using again = await person('alice', moved, 'ed25519');
  await cenote.must('account', 'key', 'add', 'alice', again.publicKeyPath, '--name', 'again');
  assert.match(await again.must('-i', 'account', 'get'), /login: alice/);
});

/** The same machine by our own command line, with a profile. */
const byProfile = async ({ home, publicKeyPath }: Person, url: string): Promise<void> => {
  const env = { PATH: process.env['PATH']!, HOME: home, CENOTE_NODE: process.execPath };
  const must = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runAny(launcher, words, { env, cwd: home, timeoutMs: 60_000 });
    assert.equal(code, 0, `cenote ${words.join(' ')}: ${stderr}`);
    return stdout;
  };
  await must('profile', 'create', 'here', '--url', url, '--account', 'alice', '--key', publicKeyPath.replace(/\.pub$/, ''));
  await must('profile', 'use', 'here');
  assert.match(await must('ls'), /web .* running/);
  assert.equal(await must('exec', 'web', '--', 'sh', '-c', 'echo from $HOSTNAME'), 'from web\n');
  const [sent, back] = [join(home, 'sent'), join(home, 'back')];
  writeFileSync(sent, 'over there\n');
  await must('cp', sent, 'web:/srv/');
  await must('cp', 'web:/srv/sent', back);
  assert.equal(readFileSync(back, 'utf8'), 'over there\n');
  await must('run', 'once', '--rm', '--', 'true');
  await must('resize', 'web', '--memory', '80M');
  assert.match(await must('top', '--once', 'web'), /web/);
};
