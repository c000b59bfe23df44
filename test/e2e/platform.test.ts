/**
 * The one operating system and the images: a version built anew, every machine moved to it and back with its data, one that does not come up
 * left as it was; images from directories, archives and machines. Needs root and Debian's packages.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { installed, run } from '../../src/exec/run.ts';
import type { Accepted, Machine } from '../../src/model/control-api.ts';
import type { Image, Platform } from '../../src/model/image.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

const skip = skipInstance || (!(await installed('mmdebstrap')) ? 'needs mmdebstrap' : false);
const small = ['--cpu', '0.01', '--memory', '32M', '--disk', '200M'];
const awkVersion = ['awk', 'BEGIN { print PROCINFO["version"] != "" ? "gawk" : "mawk" }'];

describe('platforms and images', { skip }, () => {
  let cenote: TestInstance;
  const inside = (name: string, ...command: string[]): Promise<string> => cenote.must('exec', name, '--', ...command).then((text) => text.trim());
  const build = async (include: string): Promise<Platform> => {
    const words = ['platform', 'build', '--name', 'p', '--json', ...(include === '' ? [] : ['--include', include])];
    const { code, stdout, stderr } = await cenote.cenoteWith({ timeoutMs: 900_000 }, ...words);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Platform;
  };
  const platformOf = async (name: string): Promise<string> => {
    const { platform } = await cenote.json<Machine>('get', name);
    return platform === null ? 'none' : `${platform.name}@${platform.version}`;
  };
  const file = (name: string, text: string): string => {
    writeFileSync(join(cenote.directory, name), text);
    return name;
  };

  before(async () => {
    cenote = await startInstance({ poolSizeMib: 4608 });
    assert.equal((await build('')).version, '1');
  });
  after(() => cenote?.[Symbol.asyncDispose]());

  it('one program is patched once, and every machine runs the patched one, with its data', async () => {
    for (const name of ['a', 'b']) await cenote.must('create', name, '--platform', 'p', ...small);
    assert.equal(await inside('a', ...awkVersion), 'mawk');
    await inside('a', 'sh', '-c', 'echo kept > /srv/data; useradd joe; echo x > /etc/mine');
    await inside('b', 'sh', '-c', 'rm -rf /var/lib/misc; echo kept > /srv/data');
    // The name of awk is the same; what is behind it is another program. Redis brings an account.
    assert.equal((await build('gawk,redis-server')).version, '2');
    assert.equal(await inside('a', ...awkVersion), 'mawk', 'nothing moves by itself');

    assert.match(await cenote.refused('platform', 'update', '--all'), /2 machines|--yes/);
    const moved = await cenote.json<Accepted[]>('platform', 'update', '--all', '--roll', '--yes');
    const conflicts = new Map(moved.map(({ machine, job }) => [machine!.name, job.result['conflicts'] as string[]]));
    assert.deepEqual(conflicts.get('b'), []);
    for (const path of ['/etc/passwd', '/etc/group', '/etc/shadow']) assert.ok(conflicts.get('a')!.includes(path), `${path} in ${String(conflicts.get('a'))}`);
    assert.equal(conflicts.get('a')!.includes('/etc/mine'), false);
    for (const name of ['a', 'b']) {
      assert.equal(await inside(name, ...awkVersion), 'gawk');
      assert.equal(await inside(name, 'cat', '/srv/data'), 'kept');
      assert.equal(await inside(name, 'sh', '-c', 'touch /usr/bin/x 2>/dev/null || echo read-only'), 'read-only');
    }
    assert.equal(await inside('a', 'id', '-un', 'joe'), 'joe');
    assert.match(await cenote.refused('platform', 'delete', 'p@2'), /used by/);

    await cenote.must('platform', 'update', 'a', '--back');
    assert.equal(await platformOf('a'), 'p@1');
    assert.equal(await inside('a', ...awkVersion), 'mawk');
    assert.equal(await inside('a', 'cat', '/srv/data'), 'kept');
    assert.match(await cenote.refused('platform', 'update', 'a', '--back'), /no version before/);
  });

  it('a machine that does not come up on the new version stays as it was, and a roll ends there', async () => {
    const runs = 'test "$(readlink /etc/alternatives/awk)" = /usr/bin/mawk && echo started >> /srv/starts && exec sleep infinity';
    await cenote.must('create', 'c', '--platform', 'p@1', ...small, '--stop-grace', '0s', '--', 'sh', '-c', runs);
    await cenote.must('create', 'd', '--platform', 'p@1', ...small);
    assert.match(await cenote.refused('platform', 'update', 'c', 'd', '--roll', '--yes'), /undone/);
    assert.deepEqual([await platformOf('c'), await platformOf('d')], ['p@1', 'p@1']);
    assert.equal((await cenote.json<Machine>('get', 'c')).state, 'running');
    assert.match(await inside('c', 'cat', '/srv/starts'), /^started\nstarted$/, 'its own start, and the one after the way back');
    await cenote.must('delete', 'c', 'd', '--yes');
  });

  it('the platform host is this host, live', async () => {
    await cenote.must('create', 'h', ...small);
    const path = `/usr/local/share/cenote-live-${process.pid}`;
    try {
      writeFileSync(path, 'patched');
      assert.equal(await inside('h', 'cat', path), 'patched');
    } finally {
      rmSync(path, { force: true });
    }
    await cenote.must('delete', 'h');
  });

  it('an image of code: its configuration is what machines get', async () => {
    mkdirSync(join(cenote.directory, 'shop'), { recursive: true });
    file('shop/run.sh', 'echo "$GREETING from $(id -un) in $PWD"; trap "exit 7" INT; while :; do sleep 0.1; done\n');
    const config = {
      Entrypoint: ['sh'],
      Cmd: ['run.sh'],
      User: 'www-data',
      Env: ['GREETING=hello'],
      ExposedPorts: { '80/tcp': {} },
      StopSignal: 'SIGINT',
      Healthcheck: { Test: ['CMD', 'test', '-e', '/tmp/well'], Interval: 200_000_000, Retries: 2 },
    };
    const image = await cenote.json<Image>('image', 'create', 'shop', '--from', 'shop', '--config', file('shop.json', JSON.stringify({ config })));
    assert.deepEqual(image.config, { WorkingDir: '/app', ...config });
    await cenote.must('create', 'shop', '--image', 'shop', '--platform', 'p@1', ...small);
    assert.match(await cenote.refused('image', 'delete', 'shop'), /used by "shop"/);
    await cenote.until('shop', ['true']);
    for (let text = ''; !text.includes('hello'); text = await cenote.must('logs', 'shop')) continue;
    assert.match(await cenote.must('logs', 'shop'), /hello from www-data in \/app/);
    await cenote.must('exec', 'shop', '--', 'touch', '/tmp/well');
    for (let health = ''; health !== 'healthy'; health = (await cenote.json<Machine>('get', 'shop')).health) continue;
    await cenote.must('exec', 'shop', '--', 'rm', '/tmp/well');
    for (let health = ''; health !== 'unhealthy'; health = (await cenote.json<Machine>('get', 'shop')).health) continue;
    await cenote.must('stop', 'shop');
    assert.equal((await cenote.json<Machine>('get', 'shop')).exit?.code, 7, 'the image’s stop signal');
    await cenote.must('delete', 'shop');
    await cenote.must('image', 'delete', 'shop');
  });

  it('an image from a machine: what it changed, and what it runs', async () => {
    await cenote.must('create', 'm', '--platform', 'p@1', ...small, '--env', 'SECRET=1', '--', 'sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done');
    await inside('m', 'sh', '-c', 'useradd joe; mkdir /opt/x; echo mine > /opt/x/f; chown joe /opt/x/f; echo data > /var/lib/mine');
    const image = await cenote.json<Image>('image', 'create', 'made', '--from-machine', 'm');
    assert.equal(image.kind, 'app');
    assert.equal(image.config.Cmd?.[0], 'sh');
    assert.equal(JSON.stringify(image.config).includes('SECRET'), false);
    assert.ok(image.sizeMib < 5, `the platform's own files are not in it: ${image.sizeMib} MiB`);
    await cenote.must('create', 'n', '--image', 'made', '--platform', 'p@1', ...small);
    assert.equal(await inside('n', 'sh', '-c', 'cat /opt/x/f /var/lib/mine; stat -c %U /opt/x/f; cat /etc/hostname'), 'mine\ndata\njoe\nn');
    await cenote.must('delete', 'm', 'n', '--yes');
    await cenote.must('image', 'delete', 'made');
  });

  it('an image with a userland of its own needs no platform', async () => {
    await cenote.must('create', 'donor', '--platform', 'p@1', ...small);
    const donor = await cenote.json<Machine>('get', 'donor');
    // The built tree itself, taken out of a machine as an archive.
    for (const top of ['usr', 'etc', 'var']) await cenote.must('cp', `donor:/${top}`, `root-${top}/`);
    const tree = join(cenote.directory, 'tree');
    mkdirSync(tree);
    for (const top of ['usr', 'etc', 'var'])
      await run('mv', [join(cenote.directory, `root-${top}`, top), join(tree, top)]).catch(() =>
        run('mv', [join(cenote.directory, `root-${top}`), join(tree, top)]),
      );
    for (const top of ['bin', 'sbin', 'lib', 'lib64']) await run('ln', ['-s', `usr/${top}`, join(tree, top)]);
    await run('tar', ['-C', tree, '-czf', join(cenote.directory, 'tree.tgz'), '.'], { timeoutMs: 120_000 });
    const image = await cenote.json<Image>('image', 'create', 'own', '--from', 'tree.tgz', '--system', '--', 'sleep', 'infinity');
    assert.equal(image.kind, 'system');
    assert.match(await cenote.refused('create', 'x', '--image', 'own', '--platform', 'p', ...small), /platform/);
    await cenote.must('create', 'own', '--image', 'own', '--stop-grace', '0s', ...small);
    assert.equal(await platformOf('own'), 'none');
    assert.equal(
      await inside('own', 'sh', '-c', 'echo x > /usr/bin/mine && cat /usr/bin/mine; cat /etc/hostname; ls -d /run/lock >/dev/null; id -u'),
      'x\nown\n0',
    );
    assert.equal(donor.platform?.version, '1');
    await cenote.must('delete', 'own', 'donor', '--yes');
    await cenote.must('image', 'delete', 'own');
  });

  it('what cannot be an image is refused in one line', async () => {
    const before = await cenote.json<Image[]>('image', 'ls');
    mkdirSync(join(cenote.directory, 'code'), { recursive: true });
    file('code/x', 'x');
    const cases: [RegExp, ...string[]][] = [
      [/bogus/, '--from', 'code', '--config', file('unknown.json', '{"bogus":1}')],
      [/User/, '--from', 'code', '--config', file('user.json', '{"User":"a b"}')],
      [/ExposedPorts/, '--from', 'code', '--config', file('port.json', '{"ExposedPorts":{"http":{}}}')],
      [/not JSON/, '--from', 'code', '--config', file('text.json', 'Cmd: x')],
      [/neither|cannot read/, '--from', 'nowhere'],
      [/archive/, '--from', 'text.json'],
      [/usr/, '--from', 'code', '--at', '/usr/lib/x'],
      [/userland/, '--from', 'code', '--system'],
    ];
    for (const [says, ...words] of cases) {
      const said = await cenote.refused('image', 'create', 'bad', ...words);
      assert.match(said, says);
      assert.doesNotMatch(said, /schema is false/);
    }
    assert.match(await cenote.refused('image', 'create', 'base', '--from', 'code'), /already/);
    assert.match(await cenote.refused('image', 'delete', 'base'), /built in/);
    assert.deepEqual(await cenote.json<Image[]>('image', 'ls'), before);
  });
});
