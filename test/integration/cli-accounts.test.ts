/** `cenote account` by the real launcher, against a real control plane. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import sshpk from 'sshpk';
import type { Account, AccountKey } from '../../src/model/account.ts';
import { cliFixture } from '../support/cli-fixture.ts';

test('accounts and their keys', async () => {
  await using cli = await cliFixture();
  const key = sshpk.generatePrivateKey('ed25519');
  key.comment = 'me@laptop';
  await writeFile(join(cli.directory, 'id.pub'), `${key.toPublic().toString('ssh')}\n`);
  await writeFile(join(cli.directory, 'id'), key.toString('ssh-private'));

  const made = await cli.cenote('account', 'create', 'alice', '--key', 'id.pub', '--email', 'alice@example.com', '--json');
  const account = JSON.parse(made.stdout) as Account;
  assert.deepEqual([made.code, account.name, account.profile.email], [0, 'alice', 'alice@example.com']);
  const again = await cli.cenote('account', 'create', 'alice');
  assert.deepEqual([again.code, /already an account named "alice"/.test(again.stderr)], [5, true]);
  const secret = await cli.cenote('account', 'key', 'add', 'alice', 'id');
  assert.deepEqual([secret.code, /private key/.test(secret.stderr)], [2, true]);

  const [held] = JSON.parse((await cli.cenote('account', 'key', 'ls', 'alice', '--json')).stdout) as AccountKey[];
  assert.deepEqual([held?.name, held?.fingerprint], ['me@laptop', key.fingerprint('md5').toString('hex')]);
  const shown = await cli.cenote('account', 'get', 'alice');
  assert.match(shown.stdout, /SHA256:\S+ me@laptop/);
  assert.equal((await cli.cenote('account', 'key', 'delete', 'alice', held!.fingerprint)).code, 0);
  assert.equal((await cli.cenote('account', 'key', 'delete', 'alice', held!.fingerprint)).code, 4);
  assert.match((await cli.cenote('account', 'disable', 'alice')).stdout, /^disabled account alice$/m);
  assert.match((await cli.cenote('account', 'get', 'alice')).stdout, /Disabled: +since .*its machines go on/);
  assert.match((await cli.cenote('account', 'ls')).stdout, /alice +disabled +alice@example.com/);
  assert.equal((await cli.cenote('account', 'enable', 'alice')).code, 0);
  assert.match((await cli.cenote('account', 'ls')).stdout, /alice +enabled +alice@example.com/);
  const token = (await cli.cenote('account', 'token', 'create', 'alice', '--for', '15m')).stdout.trim();
  assert.match(token, /^cenote_token_\S{43}$/);
  const [one] = JSON.parse((await cli.cenote('account', 'token', 'ls', 'alice', '--json')).stdout) as { id: string }[];
  assert.match((await cli.cenote('account', 'token', 'delete', 'alice', one!.id)).stdout, /^deleted token /);
  assert.equal((await cli.cenote('account', 'token', 'delete', 'alice', one!.id)).code, 4);
  assert.equal((await cli.cenote('account', 'delete', 'alice')).code, 0);
  assert.equal((await cli.cenote('account', 'delete', 'default')).code, 5);
  assert.equal((await cli.cenote('account', 'get', 'alice')).code, 4);
});

test('words of three', async () => {
  await using cli = await cliFixture();
  const propose = async (...words: string[]) => (await cli.cenote('__complete', ...words)).stdout.trim().split('\n');
  assert.deepEqual(await propose('account', ''), ['create', 'ls', 'get', 'update', 'disable', 'enable', 'delete', 'token', 'accesskey', 'key']);
  assert.deepEqual(await propose('account', 'key', ''), ['add', 'ls', 'delete']);
  assert.deepEqual(await propose('account', 'key', 'ls', ''), ['default']);
  const unknown = await cli.cenote('account', 'key', 'lss', 'default');
  assert.deepEqual([unknown.code, /did you mean account key ls\?/.test(unknown.stderr)], [2, true]);
});
