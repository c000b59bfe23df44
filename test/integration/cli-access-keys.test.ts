/** Access keys by the command line: made by the operator, and used by a profile in place of an SSH key, which nobody there has. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import type { AccessKey, MadeAccessKey } from '../../src/model/access-key.ts';
import { launcher } from '../support/cli-fixture.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { remoteFixture } from '../support/remote-fixture.ts';
import type { RemoteFixture } from '../support/remote-fixture.ts';

describe('an access key', () => {
  let remote: RemoteFixture;
  let file: string;
  before(async () => {
    remote = await remoteFixture();
    file = join(remote.home, 'secret');
    assert.equal((await remote.cli.cenote('account', 'create', 'alice')).code, 0);
  });
  after(() => remote[Symbol.asyncDispose]());

  const operator = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await remote.cli.cenote('account', 'accesskey', ...words);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const keys = async (): Promise<AccessKey[]> => JSON.parse(await operator('ls', 'alice', '--json')) as AccessKey[];

  it('is made with its secret in a file, and the line that it tells makes a profile', async () => {
    const told = await operator('create', 'alice', '-d', 'builds', '--secret-file', file);
    const [key] = await keys();
    assert.deepEqual([key!.active, key!.description], [true, 'builds']);
    const secret = readFileSync(file, 'utf8').trim();
    assert.match(secret, /^cenote_secret_\S{43}$/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(!told.includes(secret), told);
    const line = /^ {2}cenote (profile create .*)$/m.exec(told)![1]!;
    assert.ok(line.includes(`--access-key ${key!.id} --secret-file ${file} --trust `), line);
    await remote.must(...line.split(' '));
    assert.match(await remote.must('profile', 'get', 'alice'), new RegExp(`Key: +access key ${key!.id}, its secret in ${file}`));
    assert.ok(!readFileSync(join(remote.home, '.config/cenote/profiles/alice.json'), 'utf8').includes(secret));

    const again = await remote.cli.cenote('account', 'accesskey', 'create', 'alice', '--secret-file', file);
    assert.deepEqual([again.code, again.stderr.includes('--secret-file: ')], [2, true], again.stderr);
    const nobody = await remote.cli.cenote('account', 'accesskey', 'create', 'nosuch', '--secret-file', join(remote.home, 'other'));
    assert.deepEqual([nobody.code, existsSync(join(remote.home, 'other'))], [4, false]);
    assert.equal((await keys()).length, 1, 'none without a place for its secret');
  });

  it('does what the account may', async () => {
    await remote.must('--profile', 'alice', 'create', 'web');
    assert.match(await remote.must('--profile', 'alice', 'ls'), /web/);
    const exec = await remote.cenote('--profile', 'alice', 'exec', 'web', '--', 'echo', 'hello');
    assert.equal(exec.code, 0, exec.stderr);
    assert.match(await remote.must('--profile', 'alice', 'info'), /You are: +alice with access key CNAK/);
    assert.match(await remote.must('--profile', 'alice', 'account', 'accesskey', 'ls', 'alice'), /CNAK\S+ +active +\S+ +builds/);
    assert.equal((await remote.cenote('--profile', 'alice', 'account', 'accesskey', 'ls', 'default')).code, 4);
  });

  it('is kept from others', async () => {
    chmodSync(file, 0o640);
    const shown = await remote.cenote('--profile', 'alice', 'ls');
    assert.deepEqual([shown.code, /others may read the secret in .* \(its mode is 0640\)\n.*chmod 600 /.test(shown.stderr)], [2, true], shown.stderr);
    chmodSync(file, 0o600);
    const secret = readFileSync(file, 'utf8');
    writeFileSync(file, 'cenote_secret_short\n');
    const short = await remote.cenote('--profile', 'alice', 'ls');
    assert.deepEqual([short.code, /holds no secret of an access key/.test(short.stderr)], [2, true], short.stderr);
    writeFileSync(
      file,
      secret.replace(/.\n$/, (last) => (last === 'A\n' ? 'E\n' : 'A\n')),
    );
    const wrong = await remote.cenote('--profile', 'alice', 'ls');
    assert.deepEqual([wrong.code, /is this its secret\? On the server: cenote account accesskey ls alice$/m.test(wrong.stderr)], [77, true], wrong.stderr);
    rmSync(file);
    assert.match((await remote.cenote('--profile', 'alice', 'ls')).stderr, /the secret .* cannot be read/);
    writeFileSync(file, secret, { mode: 0o600 });
  });

  it('may have its secret in the environment', async () => {
    const { id, secret } = JSON.parse(await operator('create', 'alice', '--json')) as MadeAccessKey;
    const place = ['--url', remote.url, '--account', 'alice', '--trust', remote.fingerprint];
    const create = (name: string, env: Record<string, string>, ...more: string[]) => remote.cenoteWith({ env }, 'profile', 'create', name, ...place, ...more);
    const without = await create('ci', {}, '--access-key', id);
    assert.deepEqual([without.code, /CENOTE_ACCESS_KEY_SECRET is not set/.test(without.stderr)], [77, true], without.stderr);
    const env = { CENOTE_ACCESS_KEY_SECRET: secret };
    assert.equal((await create('ci', env, '--access-key', id)).code, 0);
    assert.match((await remote.cenoteWith({ env }, '--profile', 'ci', 'ls')).stdout, /web/);
    assert.equal((await remote.cenote('--profile', 'ci', 'ls')).code, 77);
    for (const [words, said] of [
      [['--access-key', secret], /--access-key: .* is not the id of an access key/],
      [['--access-key', id, '--key', 'id_rsa'], /--key: is an SSH key/],
      [['--secret-file', file], /--access-key: is missing/],
    ] as const) {
      const { code, stderr } = await create('x', {}, ...words);
      assert.deepEqual([code, said.test(stderr)], [2, true], stderr);
    }
  });

  it('ends', async () => {
    const [first, second] = (await keys()).map(({ id }) => id) as [string, string];
    assert.match(await operator('update', 'alice', first, '--active', 'off'), new RegExp(`^updated access key ${first}: inactive$`, 'm'));
    assert.equal((await remote.cenote('--profile', 'alice', 'ls')).code, 77);
    assert.match(await operator('ls', 'alice'), new RegExp(`${first} +inactive`));
    assert.match((await remote.cli.cenote('account', 'get', 'alice')).stdout, new RegExp(`Access keys: +${first} builds \\(inactive\\)\n +${second}`));
    await operator('update', 'alice', first, '--active', 'on', '-d', 'tests');
    await remote.must('--profile', 'alice', 'ls');
    await remote.must('--profile', 'alice', 'account', 'accesskey', 'delete', 'alice', first);
    assert.equal((await remote.cenote('--profile', 'alice', 'ls')).code, 77);
    assert.deepEqual(
      (await keys()).map(({ id }) => id),
      [second],
    );
    for (const words of [
      ['update', 'alice', first, '--active', 'on'],
      ['delete', 'alice', first],
      ['ls', 'alice', '--user', 'carol'],
    ])
      assert.equal((await remote.cli.cenote('account', 'accesskey', ...words)).code, 4, words.join(' '));
    assert.equal((await remote.cli.cenote('account', 'accesskey', 'update', 'alice', second)).code, 2);
    assert.match(
      await operator('create', 'alice', '--inactive'),
      /^created access key CNAK\S+, inactive\n {2}secret cenote_secret_\S+ \(it is not shown again\)$/m,
    );
  });
});

it("a user's access key, given by the operator, has the user's roles", async () => {
  await using here = await cloudApiFixture();
  const { alice, fixture, url } = here;
  const home = mkdtempSync(join(tmpdir(), 'cenote-user-'));
  try {
    const [front] = [await makeMachine(alice, 'front'), await makeMachine(alice, 'back')];
    await alice.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
    await alice.send('POST', '/my/policies', { json: { name: 'look', rules: ['CAN getmachine and listmachines'] } });
    const members = [{ type: 'subuser', login: 'carol', default: true }];
    await alice.send('POST', '/my/roles', { json: { name: 'looker', members, policies: [{ name: 'look' }] } });
    for (const path of ['machines', `machines/${front}`]) await alice.send('PUT', `/my/${path}`, { json: { 'role-tag': ['looker'] } });
    const holder = { account: 'alice', user: 'carol' };
    const { id, secret } = await fixture.client.accessKeyCreate(holder, { description: 'builds' });
    assert.deepEqual(
      (await fixture.client.accessKeyList(holder)).map((one) => one.id),
      [id],
    );
    assert.deepEqual(await fixture.client.accessKeyList({ account: 'alice', user: undefined }), []);
    await assert.rejects(fixture.client.accessKeyList({ account: 'bob', user: 'carol' }), { code: 'not_found' });
    const env = { PATH: process.env['PATH']!, HOME: home, CENOTE_NODE: process.execPath, CENOTE_ACCESS_KEY_SECRET: secret };
    const cenote = (...words: string[]) => runAny(launcher, words, { env, cwd: home, timeoutMs: 60_000 });
    const created = (...more: string[]) => cenote('profile', 'create', 'ci', '--url', url, '--account', 'alice', '--access-key', id, ...more);
    const own = await created();
    assert.equal(own.code, 77, "it is not the account's");
    const dave = await created('--user', 'dave');
    assert.match(dave.stderr, new RegExp(`has account alice a user dave with the access key ${id}, .*: cenote account accesskey ls alice --user dave`));
    assert.equal((await created('--user', 'carol')).code, 0);
    const listed = await cenote('--profile', 'ci', 'ls');
    assert.match(listed.stdout, /front/);
    assert.doesNotMatch(listed.stdout, /back/);
    assert.equal((await cenote('--profile', 'ci', 'delete', 'front')).code, 77);
    assert.equal((await cenote('--profile', 'ci', 'account', 'accesskey', 'create', 'alice')).code, 77);
    await fixture.client.accessKeyUpdate(holder, id, { active: false });
    assert.equal((await cenote('--profile', 'ci', 'ls')).code, 77);
    await fixture.client.accessKeyDelete(holder, id);
    await assert.rejects(fixture.client.accessKeyDelete(holder, id), { code: 'not_found' });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
