/** The command line against a control plane elsewhere: a profile, TLS, an SSH key; and everything that may be wrong with those. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import sshpk from 'sshpk';
import { runAny } from '../../src/exec/run.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { launcher } from '../support/cli-fixture.ts';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { remoteFixture } from '../support/remote-fixture.ts';
import type { RemoteFixture } from '../support/remote-fixture.ts';
import { terminalScript } from '../support/terminal-script.ts';

describe('cenote with a profile', () => {
  let remote: RemoteFixture;
  let key: string;
  before(async () => {
    remote = await remoteFixture();
    key = await remote.account('alice');
  });
  after(() => remote[Symbol.asyncDispose]());

  const created = (name: string, account: string, ...more: string[]) =>
    remote.cenote('profile', 'create', name, '--url', remote.url, '--account', account, ...more);

  it('shows the fingerprint of a certificate that nobody vouches for, and trusts it when told to', async () => {
    const shown = await created('home', 'alice', '--key', key);
    assert.equal(shown.code, 77);
    assert.ok(shown.stderr.includes(`repeat it with: --trust ${remote.fingerprint}`), shown.stderr);
    const wrong = await created('home', 'alice', '--key', key, '--trust', remote.fingerprint.replaceAll(/[0-9]/g, '0'));
    assert.match(wrong.stderr, /shows another certificate than the one to trust/);
    const made = await created('home', 'alice', '--key', key, '--trust', remote.fingerprint);
    assert.equal(made.code, 0, made.stderr);
    const file = join(remote.home, '.config/cenote/profiles/home.json');
    assert.deepEqual([statSync(file).mode & 0o777, statSync(join(file, '..')).mode & 0o777], [0o600, 0o700]);
    const again = await created('home', 'alice', '--key', key, '--trust', remote.fingerprint);
    assert.deepEqual([again.code, again.stderr.includes('cenote profile delete home')], [5, true]);
  });

  it('is made by the line that `account create` says', async () => {
    const [path, publicKey] = [join(remote.home, 'carol.key'), join(remote.home, 'carol.key.pub')];
    const pair = sshpk.generatePrivateKey('ed25519');
    writeFileSync(publicKey, pair.toPublic().toString('ssh'));
    const create = async (name: string): Promise<string> => {
      const { code, stdout, stderr } = await remote.cli.cenote('account', 'create', name, '--key', publicKey);
      assert.equal(code, 0, stderr);
      return /^ {2}cenote (profile create .*)$/m.exec(stdout)![1]!;
    };
    assert.doesNotMatch(await create('carla'), /--key/, 'nobody knows where the private one is');
    writeFileSync(path, pair.toString('openssh'), { mode: 0o600 });
    const line = await create('carol');
    assert.ok(line.includes(` --key ${path} `), line);
    await remote.must(...line.split(' '));
    await remote.must('profile', 'delete', 'carol');
  });

  it('is chosen by flag, environment or use', async () => {
    assert.match(await remote.must('--profile', 'home', 'info'), /You are: +alice with key /);
    assert.equal((await remote.cenoteWith({ env: { CENOTE_PROFILE: 'home' } }, 'ls')).code, 0);
    assert.equal((await remote.cenote('ls')).code, 69, 'nothing is served in /var/lib/cenote of this test');
    await remote.must('profile', 'use', 'home');
    assert.match(await remote.must('profile', 'ls'), /home \* +alice +https:/);
    assert.equal(await remote.must('ls', '--json'), '[]\n');
    assert.match((await remote.cenote('--profile', 'hom', 'ls')).stderr, /there is no profile "hom"\n.*did you mean home\?/);
    assert.deepEqual((await remote.must('__complete', '--profile', '')).trim().split('\n'), ['local', 'home']);
    assert.match(await remote.must('profile', 'get', 'home'), new RegExp(`Trusts: +this certificate ${remote.fingerprint}`));
    const beside = await remote.cenote('--root', remote.cli.root, 'info', '--json');
    assert.equal((JSON.parse(beside.stdout) as { operator: boolean }).operator, true, 'a root is of this host');
  });

  it('leaves to the host what is its own', async () => {
    for (const words of [['up'], ['down'], ['destroy', '--yes'], ['doctor']]) {
      const { code, stderr } = await remote.cenote(...words);
      assert.deepEqual([code, /is about the host it is called on.*\n.*--profile local/.test(stderr)], [2, true], stderr);
    }
    assert.match((await remote.cenote('--root', '/x', '--profile', 'home', 'ls')).stderr, /of this host/);
    for (const words of [['pool'], ['account', 'ls'], ['backup', 'create', 'b'], ['package', 'delete', 'tiny'], ['platform', 'delete', 'host@live', '--yes']]) {
      const { code, stderr } = await remote.cenote(...words);
      assert.deepEqual([words[0], code, stderr.includes('only the operator may do this')], [words[0], 77, true], stderr);
    }
  });

  it('makes machines, lists and changes them', async () => {
    const code = join(remote.home, 'code');
    mkdirSync(code);
    writeFileSync(join(code, 'server.js'), 'hello');
    assert.match(await remote.must('create', 'web', '--code', code, '--tag', 'a=b'), /created and started web/);
    const [web] = JSON.parse(await remote.must('ls', '--json')) as Machine[];
    assert.deepEqual([web!.name, web!.state, web!.tags], ['web', 'running', { a: 'b' }]);
    assert.ok(remote.cli.front.files.get(web!.id)!.has('/app/server.js'));
    assert.equal((await remote.cli.cenote('get', 'web')).code, 4, "the operator's own account has none of that name");
    await remote.must('resize', 'web', '--memory', '96M');
    await remote.must('rename', 'web', 'shop');
    await remote.must('snapshot', 'create', 'shop', 'first');
    assert.match(await remote.must('snapshot', 'ls', 'shop'), /first/);
    await remote.must('reboot', 'shop');
    await remote.must('fwrule', 'create', 'FROM any TO all vms ALLOW tcp PORT 80');
    assert.match(await remote.must('fwrule', 'ls'), /ALLOW tcp PORT 80/);
    assert.match(await remote.must('jobs', 'shop'), /alice with key/);
    assert.match(await remote.must('events'), /machine/);
    assert.match(await remote.must('image', 'ls'), /base/);
    assert.match(await remote.must('package', 'ls'), /tiny@1/);
    assert.equal((await remote.cenote('top', '--once', 'shop')).code, 0);
    await remote.must('update', 'shop', '--env', 'A=1');
    await remote.must('stop', 'shop');
    await remote.must('start', 'shop');
    await remote.must('wait', 'shop');
    await remote.must('snapshot', 'rollback', 'shop', 'first');
    await remote.must('firewall', 'enable', 'shop');
    assert.match(await remote.must('why', 'shop'), /shop/);
    await remote.must('rename', 'shop', 'web');
    await remote.must('create', 'other');
    await remote.must('delete', 'other');
  });

  it('makes images of its own', async () => {
    await remote.must('image', 'create', 'mine', '--from', join(remote.home, 'code'));
    await remote.must('image', 'create', 'mine', '--from-machine', 'web');
    assert.match(await remote.must('image', 'ls'), /mine@1 .*\n.*mine@2 /);
    assert.match(await remote.must('image', 'get', 'mine'), /mine@2/);
    await remote.must('create', 'of-mine', '--image', 'mine');
    assert.match((await remote.cenote('image', 'delete', 'mine')).stderr, /there are instances made of this image/);
    assert.equal((await remote.cenote('image', 'delete', 'base')).code, 4, "the operator's");
    await remote.must('delete', 'of-mine');
    await remote.must('image', 'delete', 'mine@1', 'mine@2', '--yes');
    assert.doesNotMatch(await remote.must('image', 'ls'), /mine/);
  });

  it('copies both ways', async () => {
    const [from, to] = [join(remote.home, 'from'), join(remote.home, 'to')];
    const content = 'x'.repeat(3_000_000);
    writeFileSync(from, content);
    await remote.must('cp', from, 'web:/srv/data');
    await remote.must('cp', 'web:/srv/data', to);
    assert.equal(readFileSync(to, 'utf8'), content);
    assert.equal((await remote.cenote('cp', 'web:/nothing', to)).code, 4);
  });

  it('runs commands', async () => {
    assert.equal(await remote.must('exec', 'web', '--', 'echo', 'hello'), 'hello\n');
    assert.equal((await remote.cenote('exec', 'web', '--', 'exit', '42')).code, 42);
    const piped = await remote.cenoteWith({ input: 'to and fro' }, 'exec', '-i', 'web', '--', 'cat');
    assert.deepEqual([piped.code, piped.stdout], [0, 'to and fro']);
    assert.equal((await remote.cenote('exec', 'nosuch', '--', 'echo')).code, 4);
    assert.match(await remote.must('exec', '-t', 'web', '--', 'echo', 'in a terminal'), /in a terminal/);
  });

  it('gives a real terminal', async (test) => {
    const python = await runAny('python3', ['-c', 'import os; os.waitstatus_to_exitcode'], { env: remote.env }).catch(() => undefined);
    if (python?.code !== 0) return test.skip('python3 (3.9 or later) is not here to make a pseudo-terminal');
    const words = ['-c', terminalScript, remote.home, launcher, '--profile', 'home', 'exec', '-it', 'web', '--', 'size'];
    const result = await runAny('python3', words, { env: { ...remote.env, TERM: 'xterm' }, timeoutMs: 60_000 });
    assert.equal(result.stdout, 'exit 3 raw True restored True\n', result.stderr);
  });

  it('follows logs and events', async () => {
    const [web] = JSON.parse(await remote.must('ls', '--json')) as Machine[];
    remote.cli.front.say(web!.id, 'before');
    const logs = remote.start('logs', '-f', 'web');
    const events = remote.start('events', '-f', '--json');
    await eventually(logs.output, (text) => text.includes('before'));
    remote.cli.front.say(web!.id, 'after');
    await eventually(logs.output, (text) => text.includes('after'));
    await eventually(
      async () => {
        await remote.must('snapshot', 'create', 'web', `s${Date.now()}`);
        return events.output();
      },
      (text) => text.includes('snapshot'),
    );
    for (const { pid, ended } of [logs, events]) {
      process.kill(pid, 'SIGINT');
      assert.equal(await ended, 130);
    }
  });

  it('says which key is wrong', async () => {
    const stranger = await remote.account('bob');
    const refused = await created('wrong', 'alice', '--key', stranger, '--trust', remote.fingerprint);
    assert.deepEqual([refused.code, /is there an account alice with the key SHA256:/.test(refused.stderr)], [77, true], refused.stderr);
    assert.match((await created('wrong', 'alice', '--key', `${key}.pub`, '--trust', remote.fingerprint)).stderr, /is a public key\n.*alice\.key/);
    assert.match((await created('wrong', 'alice', '--key', '/nowhere', '--trust', remote.fingerprint)).stderr, /the key \/nowhere cannot be read/);
    const none = await created('wrong', 'alice', '--key', 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '--trust', remote.fingerprint);
    assert.deepEqual([none.code, /SSH_AUTH_SOCK/.test(none.stderr)], [77, true], none.stderr);
    assert.equal((await remote.cenote('profile', 'get', 'wrong')).code, 4, 'what did not work is not kept');
    assert.equal((await created('bob', 'bob', '--key', stranger, '--trust', remote.fingerprint)).code, 0);
    assert.equal((await remote.cenote('--profile', 'bob', 'get', 'web')).code, 4);
    assert.equal((await remote.cenote('--profile', 'bob', 'exec', 'web', '--', 'echo')).code, 4);
  });

  it('says that clocks differ', async () => {
    const clock = `--import=${join(import.meta.dirname, '../support/other-clock.mjs')}`;
    const { code, stderr } = await remote.cenoteWith({ env: { NODE_OPTIONS: clock, CENOTE_TEST_CLOCK_MS: '900000' } }, 'ls');
    assert.deepEqual([code, /this host's clock is (89|90)\d s ahead of the server's/.test(stderr)], [77, true], stderr);
  });

  it('ends before a word is said to a server with another certificate', async () => {
    await using other = await remoteFixture();
    const profile = join(remote.home, '.config/cenote/profiles/home.json');
    const kept = readFileSync(profile, 'utf8');
    writeFileSync(profile, kept.replace(remote.url, other.url));
    const { code, stderr } = await remote.cenote('ls');
    assert.deepEqual([code, /shows another certificate than the one that the profile trusts/.test(stderr)], [77, true], stderr);
    const exec = await remote.cenote('exec', 'web', '--', 'echo');
    assert.equal(exec.code, 77, exec.stderr);
    writeFileSync(profile, kept);
    assert.equal((await remote.cenote('ls')).code, 0);
  });

  it('says what is not there, and what is no TLS', async () => {
    const plain = createServer((_request, response) => void response.end('no'));
    plain.listen(0, '127.0.0.1');
    await eventually(() => plain.listening, Boolean);
    const { port } = plain.address() as AddressInfo;
    const spoken = await remote.cenote('profile', 'create', 'x', '--url', `https://127.0.0.1:${port}`, '--account', 'alice', '--key', key);
    assert.deepEqual([spoken.code, /shows no certificate/.test(spoken.stderr)], [69, true], spoken.stderr);
    plain.close();
    for (const [url, said] of [
      ['http://192.0.2.1:80', /without TLS only this host itself/],
      ['ftp://x', /is not https/],
      ['https://x/y', /nothing but a host and a port/],
    ] as const)
      assert.match((await remote.cenote('profile', 'create', 'x', '--url', url, '--account', 'alice', '--key', key)).stderr, said);
    await remote.cli.stopControl();
    const away = await remote.cenote('ls');
    assert.deepEqual(
      [away.code, /the control plane does not answer \(https:.*ECONNREFUSED\)\n.*see the network between here and/.test(away.stderr)],
      [69, true],
      away.stderr,
    );
    assert.equal((await remote.cenote('exec', 'web', '--', 'echo')).code, 69);
  });

  it('is forgotten', async () => {
    await remote.must('profile', 'delete', 'home');
    assert.match(await remote.must('profile', 'ls'), /^local \*/m);
    assert.equal((await remote.cenote('profile', 'use', 'home')).code, 4);
  });
});

it('a profile may be of a user of the account, who does what his roles grant', async () => {
  await using here = await cloudApiFixture();
  const home = mkdtempSync(join(tmpdir(), 'cenote-user-'));
  try {
    const key = sshpk.generatePrivateKey('ed25519');
    writeFileSync(join(home, 'key'), key.toString('openssh'), { mode: 0o600 });
    const front = await makeMachine(here.alice, 'front');
    await here.alice.send('POST', '/my/users', { json: { login: 'carol', email: 'carol@example.com', password: 'secret123' } });
    await here.alice.send('POST', '/my/users/carol/keys', { json: { name: 'laptop', key: key.toPublic().toString('ssh') } });
    await here.alice.send('POST', '/my/policies', { json: { name: 'look', rules: ['CAN getmachine and listmachines'] } });
    const members = [{ type: 'subuser', login: 'carol', default: true }];
    await here.alice.send('POST', '/my/roles', { json: { name: 'looker', members, policies: [{ name: 'look' }] } });
    for (const path of ['machines', `machines/${front}`]) await here.alice.send('PUT', `/my/${path}`, { json: { 'role-tag': ['looker'] } });
    const env = { PATH: process.env['PATH']!, HOME: home, CENOTE_NODE: process.execPath };
    const cenote = (...words: string[]) => runAny(launcher, words, { env, cwd: home, timeoutMs: 60_000 });
    const created = (user: string) => cenote('profile', 'create', 'ops', '--url', here.url, '--account', 'alice', '--user', user, '--key', join(home, 'key'));

    const odd = await created('../alice');
    assert.deepEqual([odd.code, odd.stderr.includes('--user: "../alice" is not the login of a user')], [2, true], odd.stderr);
    const stranger = await created('dave');
    assert.deepEqual([stranger.code, stranger.stderr.includes('has account alice a user dave with the key SHA256:')], [77, true], stranger.stderr);
    const made = await created('carol');
    assert.equal(made.code, 0, made.stderr);
    assert.match((await cenote('profile', 'ls')).stdout, /ops +alice\/carol +http:/);
    assert.match((await cenote('profile', 'get', 'ops')).stdout, /User: +carol/);
    assert.match((await cenote('--profile', 'ops', 'ls')).stdout, /front/);
    const refused = await cenote('--profile', 'ops', 'delete', 'front');
    assert.equal(refused.code, 77, refused.stderr);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
