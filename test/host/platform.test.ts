/**
 * Platforms and images on a real pool: what a machine's root is put together from is mounted as a machine has it, and real programs run
 * in it. Needs root, and for the built platform Debian's packages.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import tar from 'tar-stream';
import { createLogger } from '../../src/base/logger.ts';
import { run, runAny } from '../../src/exec/run.ts';
import { createArchiver } from '../../src/host/archive/archiver.ts';
import { openPlatforms } from '../../src/host/platform/open-platforms.ts';
import type { PlatformsOptions } from '../../src/host/platform/open-platforms.ts';
import type { Platforms, RootParts } from '../../src/host/platform/platform.ts';
import { destroyStorage, openStorage } from '../../src/host/storage/open.ts';
import type { Storage } from '../../src/host/storage/storage.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
const never = new AbortController().signal;
const stack = new AsyncDisposableStack();
const used = new Map<string, string[]>();
let left = Infinity;
const host = { name: 'host', version: 'live' };
let work: string;
let storage: Storage;
let platforms: Platforms;

const open = (more: Partial<PlatformsOptions> = {}) =>
  openPlatforms({
    storage,
    archiver: createArchiver({ logger }),
    nodePath: process.execPath,
    logger,
    inUse: (id) => used.get(id) ?? [],
    leftMib: () => left,
    ...more,
  });

/** Runs a command in a root mounted as a machine's: overlay of the lowers, /usr bound over it read-only, its own /proc and /run. */
const inside = async (parts: RootParts, command: readonly string[], environment: readonly string[] = []) => {
  const scratch = mkdtempSync(join(work, 'run-'));
  const script = [
    'set -e',
    'scratch=$1; lowers=$2; usr=$3; shift 3',
    'mount -t tmpfs tmpfs "$scratch"; mkdir "$scratch/upper" "$scratch/work" "$scratch/root"; root=$scratch/root',
    'mount -t overlay -o "lowerdir=$lowers,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$root"',
    'if [ -n "$usr" ]; then mount --bind "$usr" "$root/usr"; mount -o remount,bind,ro "$root/usr"; fi',
    'mount -t proc proc "$root/proc"; mount -t tmpfs tmpfs "$root/run"; mkdir "$root/run/lock"; mount --rbind /dev "$root/dev"',
    'exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"',
  ].join('\n');
  const args = [
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--net',
    '--',
    'sh',
    '-c',
    script,
    'sh',
    scratch,
    parts.lowers.join(':'),
    parts.usr ?? '',
    ...environment,
    ...command,
  ];
  try {
    return await runAny('unshare', args, { timeoutMs: 120_000 });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
};

const says = async (parts: RootParts, command: readonly string[], environment: readonly string[] = []): Promise<string> => {
  const { code, stdout, stderr } = await inside(parts, command, environment);
  assert.equal(code, 0, `${command.join(' ')}: ${stderr}${stdout}`);
  return stdout.trim();
};

const archive = (files: Record<string, string>): Readable => {
  const pack = tar.pack();
  for (const [name, content] of Object.entries(files)) pack.entry({ name, mode: 0o755 }, content);
  pack.finalize();
  return Readable.from(pack);
};

const image = (name: string, kind: 'app' | 'system' = 'app') => ({ id: randomUUID(), name, kind, config: {} });
const imageNamed = async (name: string) => (await platforms.imageList()).find((found) => found.name === name)!;

before(async () => {
  work = mkdtempSync(join(tmpdir(), 'cenote-platform-'));
  stack.defer(() => rmSync(work, { recursive: true, force: true }));
  storage = await openStorage({ root: work, driver: 'btrfs', sizeMib: 4096, logger });
  stack.defer(async () => {
    await storage.close();
    await destroyStorage({ root: work, logger });
  });
  platforms = await open();
  await platforms.ensureBuiltIn();
});

after(() => stack.disposeAsync());

test('the host platform is a clean system with the host’s own programs', async () => {
  const [platform] = await platforms.platformList();
  assert.deepEqual([platform!.name, platform!.version], ['host', 'live']);
  assert.equal(platform!.description, /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))![1]);
  const parts = await platforms.rootParts(await imageNamed('base'), host);
  assert.equal(parts.usr, '/usr');
  assert.equal(parts.lowers.length, 1, 'an empty image is no layer');
  assert.equal(
    await says(parts, ['sh', '-c', 'id -un; cat /etc/hostname; ls -A /root /app /srv /home | wc -l; stat -c %a%u /tmp /var/tmp /root /etc/shadow']),
    'root\n9\n17770\n17770\n7000\n6400',
  );
  assert.equal(await says(parts, ['su', '-s', '/bin/sh', 'www-data', '-c', 'id -u']), '33');
  assert.equal(await says(parts, ['getent', 'passwd', 'nobody']), 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin');
  assert.equal(await says(parts, ['awk', 'BEGIN { print 6 * 7 }']), '42', 'a program behind /etc/alternatives');
  assert.equal(await says(parts, ['date', '+%Z']), 'UTC');
  assert.match(await says(parts, ['sh', '-c', 'useradd -m somebody && id -u somebody']), /^1000$/);
  assert.notEqual((await inside(parts, ['touch', '/usr/x'])).code, 0);
});

test('nothing of the host’s secrets or settings is in the template', async () => {
  const parts = await platforms.rootParts(await imageNamed('base'), host);
  const etc = join(parts.lowers[0]!, 'etc');
  for (const name of ['ssh', 'apt', 'sudoers', 'systemd', 'cron.d', 'npmrc', 'gitconfig']) assert.equal(existsSync(join(etc, name)), false, name);
  for (const name of ['hostname', 'resolv.conf', 'machine-id', 'fstab']) assert.equal(readFileSync(join(etc, name), 'utf8'), '', name);
  assert.deepEqual(readdirSync(join(etc, 'ssl/private')), []);
  assert.ok(
    readFileSync(join(etc, 'shadow'), 'utf8')
      .trim()
      .split('\n')
      .every((line) => line.split(':')[1] === '*'),
    'every account is locked',
  );
  assert.notEqual((await runAny('grep', ['-rlI', 'PRIVATE KEY', parts.lowers[0]!])).code, 0);
});

test('the image node runs without anything of the host but its C library', async () => {
  const node = await imageNamed('node');
  assert.equal(node.builtIn, true);
  const parts = await platforms.rootParts(node, host);
  // A /usr with only what every Debian-like system has.
  const usr = join(work, 'small-usr');
  mkdirSync(join(usr, 'bin'), { recursive: true });
  const { stdout } = await runAny('ldd', [process.execPath]);
  const libraries = [...stdout.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(/gm)].map(([, path]) => path!).filter((path) => !path.includes('libatomic'));
  for (const path of [...libraries, '/usr/bin/env']) {
    const target = join(usr, path.replace(/^\/usr/, ''));
    mkdirSync(join(target, '..'), { recursive: true });
    await run('cp', ['--dereference', path, target]);
  }
  const environment = node.config.Env!.map((entry) => entry.replace(/^PATH=.*/, 'PATH=/opt/node/bin:/usr/bin:/bin'));
  assert.equal(await says({ ...parts, usr }, ['node', '-p', 'process.execPath + " " + process.version'], environment), `/opt/node/bin/node ${process.version}`);
});

test('ensuring again makes nothing; a patched host gets a new template while machines keep theirs', async () => {
  const root = join(work, 'host');
  mkdirSync(join(root, 'usr/lib'), { recursive: true });
  mkdirSync(join(root, 'etc'));
  symlinkSync('usr/lib', join(root, 'lib'));
  writeFileSync(join(root, 'usr/lib/os-release'), 'PRETTY_NAME="Small 1"\n');
  writeFileSync(join(root, 'etc/ld.so.cache'), 'one');
  const other = await openStorage({ root: join(work, 'other'), driver: 'directory', logger });
  const small = await open({ storage: other, hostRoot: root });
  const template = async () => (await small.rootParts(await base(), host)).lowers[0]!;
  const base = async () => (await small.imageList()).find(({ name }) => name === 'base')!;
  await small.ensureBuiltIn();
  const first = await template();
  await small.ensureBuiltIn();
  assert.equal(await template(), first);
  assert.deepEqual([(await other.treeList('image')).length, (await other.treeList('platform')).length], [2, 1]);

  writeFileSync(join(root, 'etc/ld.so.cache'), 'two');
  used.set(first.split('/').at(-2)!, ['somebody']);
  await small.ensureBuiltIn();
  const second = await template();
  assert.notEqual(second, first);
  assert.ok(existsSync(first), 'a machine runs on it');
  assert.equal(readFileSync(join(second, 'etc/ld.so.cache'), 'utf8'), 'two');
  used.clear();
  await small.ensureBuiltIn();
  assert.equal(existsSync(first), false);

  const reopened = await open({ storage: other, hostRoot: root });
  assert.equal((await reopened.rootParts(await base(), host)).lowers[0], second, 'known before the first ensure');
  await other.close();
});

test('a host whose /lib is a directory is refused in one line', async () => {
  const root = join(work, 'unmerged');
  mkdirSync(join(root, 'lib'), { recursive: true });
  mkdirSync(join(root, 'usr'));
  const unmerged = await open({ hostRoot: root });
  await assert.rejects(unmerged.ensureBuiltIn(), { code: 'unsupported', message: /keeps \/lib outside \/usr/ });
});

test('an image from an archive lies over the platform, once, under its name', async () => {
  const request = { ...image('tool'), config: { Cmd: ['/opt/tool/run'] } };
  const made = await platforms.imageCreate(request, { tar: archive({ 'opt/tool/run': '#!/bin/sh\necho works\n' }) }, never);
  assert.deepEqual(await platforms.imageGet(request.id), made);
  assert.equal(await says(await platforms.rootParts(made, host), ['/opt/tool/run']), 'works');
  assert.deepEqual(await platforms.imageCreate(request, { tar: archive({}) }, never), made, 'the same request again');
  await assert.rejects(platforms.imageCreate(image('tool'), { tar: archive({}) }, never), { code: 'already_exists' });
  used.set(made.id, ['m1', 'm2']);
  await assert.rejects(platforms.imageDelete(made.id), { code: 'in_use', message: /used by m1, m2/ });
  used.clear();
  await platforms.imageDelete(made.id);
  await assert.rejects(platforms.imageDelete(made.id), { code: 'not_found' });
  await assert.rejects(platforms.imageDelete((await imageNamed('base')).id), { code: 'invalid_argument' });
});

test('an image larger than what no machine is promised is refused, with the numbers', async () => {
  left = 3;
  try {
    const large = image('large');
    const content = () => archive({ 'app/data': 'x'.repeat(5 * 2 ** 20) });
    await assert.rejects(platforms.imageCreate(large, { tar: content() }, never), { code: 'not_enough', message: /more than 3M unpacked/ });
    const made = await storage.treeList('image');
    left = 1000;
    const first = await platforms.imageCreate(large, { tar: content() }, never);
    left = 3;
    await assert.rejects(platforms.imageCreate(image('second'), { image: first.id }, never), {
      code: 'not_enough',
      message: 'not enough disk: image second takes 5M, and 3M are promised to no machine',
    });
    await platforms.imageDelete(first.id);
    assert.deepEqual(await storage.treeList('image'), made);
  } finally {
    left = Infinity;
  }
});

test('a copy of an image is whole, and stays when the first goes', async () => {
  const first = image('first');
  await platforms.imageCreate(first, { tar: archive({ 'app/hello': 'echo copied', 'etc/mine': 'x' }) }, new AbortController().signal);
  const copy = await platforms.imageCreate(image('copy'), { image: first.id }, new AbortController().signal);
  await platforms.imageDelete(first.id);
  assert.equal(await says(await platforms.rootParts(copy, host), ['sh', '-c', 'sh /app/hello; cat /etc/mine']), 'copied\nx');
  await platforms.imageDelete(copy.id);
  await assert.rejects(platforms.imageCreate(image('none'), { image: first.id }, new AbortController().signal), { code: 'not_found' });
  assert.equal(
    (await platforms.imageList()).some(({ name }) => name === 'none'),
    false,
  );
});

test('a refused image leaves nothing', async () => {
  const trees = await storage.treeList('image');
  await assert.rejects(platforms.imageCreate(image('bad'), { tar: archive({ 'usr/bin/x': '' }) }, never), /\/usr is the platform's/);
  await assert.rejects(platforms.imageCreate(image('bad', 'system'), { tar: archive({ data: '' }) }, never), /userland of its own/);
  await assert.rejects(platforms.imageCreate(image('bad'), { tar: Readable.from([Buffer.alloc(3000, 1)]) }, never), /not a tar archive/);
  const controller = new AbortController();
  controller.abort(new Error('given up'));
  await assert.rejects(platforms.imageCreate(image('bad'), { tar: archive({ x: '' }) }, controller.signal), /given up/);
  assert.deepEqual(await storage.treeList('image'), trees);
});

test('Debian platforms: nginx, Redis and PostgreSQL are in one that is built, and it is clean', async () => {
  const lines: string[] = [];
  const built = await platforms.platformBuild(
    { name: 'services', include: ['nginx-light', 'redis-server', 'postgresql'] },
    ({ message }) => lines.push(message),
    never,
  );
  assert.deepEqual([built.version, built.include.length > 0, lines.length > 5], ['1', true, true]);
  const parts = await platforms.rootParts(await imageNamed('base'), built);
  const root = parts.lowers[0]!;
  assert.equal(parts.usr, `${root}/usr`);
  assert.equal((await runAny('find', [root, '-type', 'b', '-o', '-type', 'c', '-o', '-type', 'p', '-o', '-type', 's'])).stdout, '');
  for (const name of ['dev', 'proc', 'tmp', 'var/lib/apt/lists', 'etc/apt/sources.list.d', 'etc/ssl/private'])
    assert.deepEqual(existsSync(join(root, name)) ? readdirSync(join(root, name)) : [], [], name);
  assert.equal((await runAny('find', [join(root, 'var/log'), '-type', 'f'])).stdout, '');
  // Below /run only the directories that its services would have had made at boot.
  assert.equal((await runAny('find', [join(root, 'run'), '!', '-type', 'd'])).stdout, '');
  assert.ok(existsSync(join(root, 'run/postgresql')));
  for (const name of ['machine-id', 'hostname', 'resolv.conf']) assert.equal(statSync(join(root, 'etc', name)).size, 0);
  assert.equal(existsSync(join(root, 'usr/sbin/policy-rc.d')), false);
  assert.match(await says(parts, ['nginx', '-t', '-q']).then(() => 'ok'), /ok/);
  assert.match(
    await says(parts, [
      'sh',
      '-c',
      'ip link set lo up 2>/dev/null; redis-server --port 0 --unixsocket /run/r --daemonize yes >/dev/null; for i in $(seq 150); do redis-cli -s /run/r ping 2>/dev/null && break; sleep 0.2; done',
    ]),
    /^PONG$/,
  );
  assert.equal(await says(parts, ['sh', '-c', 'pg_ctlcluster 15 main start && su postgres -c "psql -Atc \'select 6*7\'" && pg_ctlcluster 15 main stop']), '42');

  // Its image of a machine: what the platform has itself stays out.
  const copied = await platforms.imageCreate(image('copy'), { directory: root }, never);
  assert.deepEqual(readdirSync(join((await platforms.rootParts(copied, built)).lowers[0]!)), []);

  used.set('services@1', ['m1']);
  await assert.rejects(platforms.platformDelete(built), { code: 'in_use' });
  used.clear();
  assert.equal((await platforms.platformFind('services'))!.version, '1');
  await platforms.platformDelete(built);
  assert.equal(await platforms.platformFind('services'), null);
});

test('a build that fails or is given up says why and leaves nothing', async () => {
  await assert.rejects(
    platforms.platformBuild({ name: 'bad', include: ['no-such-package-anywhere'] }, () => {}, never),
    { code: 'failed', message: /no-such-package-anywhere/ },
  );
  const controller = new AbortController();
  const lines: string[] = [];
  const building = platforms.platformBuild({ name: 'bad', include: [] }, ({ message }) => {
    lines.push(message);
    if (lines.length === 4) controller.abort(new Error('given up'));
  }, controller.signal); // prettier-ignore
  await assert.rejects(building, /given up/);
  assert.ok((await storage.treeList('platform')).every((id) => !id.startsWith('bad')));
  const mountPoints = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  assert.deepEqual(
    mountPoints.filter((path) => path.startsWith(`${work}/`) && /bad/.test(path)),
    [],
  );
});
