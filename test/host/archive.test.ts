/** The real archiver on the real kernel: what a hostile archive or a hostile root can and cannot do. Needs root. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { CenoteError } from '../../src/base/errors.ts';
import { createLogger } from '../../src/base/logger.ts';
import { run } from '../../src/exec/run.ts';
import { createArchiver } from '../../src/host/archive/archiver.ts';
import { blockSize, encodeHeader, paddingOf } from '../../src/host/archive/tar-format.ts';
import { TarReader } from '../../src/host/archive/tar-reader.ts';
import { fuzzRuns } from '../support/seed.ts';

interface Spec {
  name: string;
  flag?: string;
  link?: string;
  body?: string | Buffer;
  mode?: number;
  uid?: number;
  attributes?: Map<string, Buffer>;
}

const firstId = 700_000_000;
const limits = { maxEntries: 10_000, maxBytes: 512 * 1024 * 1024 };
const never = new AbortController().signal;
const archiver = createArchiver({ logger: createLogger({ name: 'test', level: 'silent' }) });
const stack = new AsyncDisposableStack();
let work: string;
let userNamespace: string;

const archive = (specs: readonly Spec[]): Buffer =>
  Buffer.concat([
    ...specs.flatMap(({ name, flag = '0', link = '', body = '', mode = 0o644, uid = 0, attributes = new Map() }) => {
      const bytes = Buffer.from(body);
      const header = { name: Buffer.from(name), link: Buffer.from(link), flag, mode, uid, gid: uid, size: bytes.length, mtime: 1_600_000_000 };
      return [...encodeHeader(header, attributes), bytes, Buffer.alloc(paddingOf(bytes.length))];
    }),
    Buffer.alloc(2 * blockSize),
  ]);

const unpack = (root: string, path: string, bytes: Buffer, namespace: string | null = userNamespace) =>
  archiver.unpack(Readable.from([bytes]), { root, path, userNamespace: namespace }, limits, never);

/** A directory as a machine's root is: owned by the machine's ids, in a directory closed to them. */
const machineRoot = (): string => {
  const outer = mkdtempSync(join(work, 'pool-'));
  chmodSync(outer, 0o700);
  const root = join(outer, 'root');
  mkdirSync(root);
  chownSync(root, firstId, firstId);
  return root;
};

const names = async (stream: Readable): Promise<string[]> => {
  const reader = new TarReader(stream);
  const found: string[] = [];
  for (let entry = await reader.next(); entry !== null; entry = await reader.next()) found.push(entry.header.name.toString());
  return found.toSorted();
};

before(async () => {
  work = mkdtempSync(join(tmpdir(), 'cenote-archive-'));
  stack.defer(() => rmSync(work, { recursive: true, force: true }));
  const holder = spawn('unshare', ['--user', 'sleep', '1000'], { stdio: 'ignore' });
  stack.defer(async () => {
    const gone = once(holder, 'exit');
    holder.kill('SIGKILL');
    await gone;
  });
  userNamespace = `/proc/${holder.pid}/ns/user`;
  while (readlinkSync(userNamespace) === readlinkSync('/proc/self/ns/user')) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${holder.pid}/${map}`, `0 ${firstId} 65536`);
});

after(() => stack.disposeAsync());

test('files, owners, modes, links, attributes and long names arrive as the machine’s own', async () => {
  const root = machineRoot();
  const long = `${'d'.repeat(200)}/${'f'.repeat(200)}`;
  const capability = Buffer.from('0100000280000000000000000000000000000000', 'hex');
  const result = await unpack(
    root,
    '/app/here',
    gzipSync(
      archive([
        { name: './', flag: '5', mode: 0o777, uid: 1000 },
        {
          name: 'bin/tool',
          body: 'tool',
          mode: 0o4755,
          attributes: new Map([
            ['security.capability', capability],
            ['user.k', Buffer.from([0, 255, 10, 61])],
          ]),
        },
        { name: 'hard', flag: '1', link: 'bin/tool' },
        { name: 'soft', flag: '2', link: '/etc/shadow' },
        { name: long, body: 'long', uid: 33 },
        { name: 'binary-\u{1F40B}', body: '' },
      ]),
    ),
  );
  assert.deepEqual(result, { entries: 6, bytes: 8 });
  const at = (name: string) => lstatSync(join(root, 'app/here', name));
  assert.equal(at('bin/tool').mode & 0o7777, 0o4755);
  assert.equal(at('bin/tool').uid, firstId);
  assert.equal(at('hard').ino, at('bin/tool').ino);
  assert.equal(readlinkSync(join(root, 'app/here/soft')), '/etc/shadow');
  assert.equal(at(long).uid, firstId + 33);
  assert.equal(at(long).mtimeMs, 1_600_000_000_000);
  assert.equal(at('.').mode & 0o7777, 0o755, 'the directory itself keeps its mode');
  assert.equal(at('binary-\u{1F40B}').size, 0);
});

test('links of the root lead only inside it', async () => {
  const root = machineRoot();
  mkdirSync(join(work, 'canary'), { recursive: true });
  symlinkSync(join(work, 'canary'), join(root, 'absolute'));
  symlinkSync('../../../../../../../../..', join(root, 'up'));
  symlinkSync('/proc/self/root', join(root, 'magic'));
  mkdirSync(join(root, 'usr'));
  symlinkSync('usr', join(root, 'bin'));
  chownSync(join(root, 'usr'), firstId, firstId);
  const one = archive([{ name: 'written', body: 'x' }]);
  await assert.rejects(archiver.pack({ root, path: '/absolute', userNamespace }, never), { code: 'not_found' });
  // Links to nowhere, as seen from inside: a directory takes their place.
  await unpack(root, '/absolute', one);
  await unpack(root, '/magic', one);
  assert.ok(lstatSync(join(root, 'absolute')).isDirectory());
  await unpack(root, '/up', one);
  await unpack(root, '/bin', one);
  await unpack(
    root,
    '/',
    archive([
      { name: 'l', flag: '2', link: work },
      { name: 'l/canary/through', body: 'x' },
    ]),
  ).catch(() => {});
  assert.ok(existsSync(join(root, 'written')));
  assert.ok(existsSync(join(root, 'usr/written')));
  assert.ok(lstatSync(join(root, 'bin')).isSymbolicLink());
  assert.deepEqual(readdirSync(join(work, 'canary')), []);
  assert.deepEqual(await names(await archiver.pack({ root, path: '/up/usr', userNamespace }, never)), ['./', './written']);
});

test('packing tells of a missing path before the first byte, renames a single file, and reads only what the machine may', async () => {
  const root = machineRoot();
  await unpack(
    root,
    '/d',
    archive([
      { name: 'f', body: 'content' },
      { name: 'l', flag: '2', link: 'f' },
      { name: '-C', body: 'odd' },
    ]),
  );
  await assert.rejects(archiver.pack({ root, path: '/none', userNamespace }, never), { code: 'not_found' });
  await assert.rejects(archiver.pack({ root, path: 'relative', userNamespace }, never), { code: 'invalid_argument' });
  assert.deepEqual(await names(await archiver.pack({ root, path: '/d', userNamespace }, never)), ['./', './-C', './f', './l']);
  for (const [path, name, content] of [
    ['/d/f', 'f', 'content'],
    ['/d/l', 'l', 'content'],
    ['/d/-C', '-C', 'odd'],
  ] as const) {
    const reader = new TarReader(await archiver.pack({ root, path, userNamespace }, never));
    const entry = await reader.next();
    assert.equal(entry!.header.name.toString(), name);
    assert.equal(entry!.header.uid, 0, 'ids as the machine sees them');
    assert.equal(Buffer.concat(await Array.fromAsync(reader.body())).toString(), content);
    assert.equal(await reader.next(), null);
  }
  writeFileSync(join(root, 'd/hosts-own'), 'secret', { mode: 0o600 });
  await assert.rejects(async () => names(await archiver.pack({ root, path: '/d/hosts-own', userNamespace }, never)), { code: 'failed' });
  await run('mkfifo', [join(root, 'd/fifo')]);
  await assert.rejects(archiver.pack({ root, path: '/d/fifo', userNamespace }, never), { code: 'invalid_argument' });
});

test('what goes out comes back the same', async () => {
  const [from, to] = [machineRoot(), machineRoot()];
  await unpack(
    from,
    '/',
    archive([
      { name: 'a/b', body: Buffer.alloc(1_000_000, 7) },
      { name: `${'n'.repeat(150)}`, flag: '2', link: 't'.repeat(150) },
      { name: 'h', flag: '1', link: 'a/b' },
    ]),
  );
  await archiver.unpack(await archiver.pack({ root: from, path: '/', userNamespace }, never), { root: to, path: '/copy', userNamespace }, limits, never);
  assert.equal(readFileSync(join(to, 'copy/a/b')).length, 1_000_000);
  assert.equal(statSync(join(to, 'copy/h')).nlink, 2);
  assert.equal(readlinkSync(join(to, `copy/${'n'.repeat(150)}`)), 't'.repeat(150));
});

test('a full disk and a full file table say so', async () => {
  const small = mkdtempSync(join(work, 'small-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
  try {
    await assert.rejects(
      unpack(small, '/', archive([{ name: 'big', body: Buffer.alloc(8 * 1024 * 1024) }]), null),
      (error) => error instanceof CenoteError && error.code === 'not_enough' && /no space left/.test(error.message),
    );
  } finally {
    await run('umount', [small]);
  }
});

test('a reader who goes ends the packing, of a file and of a tree, whether it is told or not', async () => {
  const root = machineRoot();
  writeFileSync(join(root, 'large'), randomBytes(8 * 1024 * 1024), { mode: 0o644 });
  for (const path of ['/large', '/'])
    for (const isTold of [false, true]) {
      const told = new AbortController();
      const reader = new Writable({
        write(_chunk, _encoding, done) {
          if (isTold) told.abort();
          done(new Error('he has gone'));
        },
      });
      await assert.rejects(pipeline(await archiver.pack({ root, path, userNamespace }, told.signal), reader), { message: 'he has gone' });
    }
});

test('an abort ends the program and says so', async () => {
  const controller = new AbortController();
  const root = machineRoot();
  const endless = Readable.from(
    (async function* () {
      yield archive([{ name: 'first' }]).subarray(0, blockSize);
      controller.abort(new Error('given up'));
      await new Promise((resolve) => setTimeout(resolve, 5));
      yield* [archive([{ name: 'second' }])];
    })(),
  );
  await assert.rejects(archiver.unpack(endless, { root, path: '/', userNamespace }, limits, controller.signal), /given up/);
});

test('a tree on disk is written without the host’s other powers', async () => {
  const tree = mkdtempSync(join(work, 'tree-'));
  await unpack(tree, '/root', archive([{ name: 'etc/passwd', uid: 65_535, body: 'x', mode: 0o600 }]), null);
  assert.equal(statSync(join(tree, 'root/etc/passwd')).uid, 65_535);
});

test('random archives never write outside the root', async () => {
  const names = fc.oneof(
    fc.constantFrom('a', 'b', 'a/b', 'l', 'l/x', '../canary/x', '/canary/x', 'a/../../canary/x', './a', '..', '.', '', 'up/canary/x'),
    fc.string({ unit: fc.constantFrom('a', '/', '.', '\0', '\n'), maxLength: 8 }),
  );
  const links = fc.oneof(fc.constantFrom('..', '../canary', '/', '/canary', 'a', '../../canary', 'l', '.'), fc.string({ maxLength: 6 }));
  const spec = fc.record({
    name: names,
    flag: fc.constantFrom('0', '1', '2', '5', '2', '0', '3', '6', 'L', 'K', 'x', 'S'),
    link: links,
    body: fc.constantFrom('', 'body', '../canary/x\0'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(spec, { minLength: 1, maxLength: 8 }), fc.constantFrom('/', '/a', '/l/x'), fc.boolean(), async (specs, path, inMachine) => {
      const outer = mkdtempSync(join(work, 'fuzz-'));
      const [root, canary] = [join(outer, 'root'), join(outer, 'canary')];
      for (const directory of [root, canary]) mkdirSync(directory);
      for (const directory of [outer, root, canary]) chownSync(directory, firstId, firstId); // the worst case: the ids alone would let it out
      const before = [statSync(outer), statSync(canary)].map(({ mtimeMs, mode, uid }) => ({ mtimeMs, mode, uid }));
      await unpack(root, path, archive(specs), inMachine ? userNamespace : null).catch((error: unknown) =>
        assert.ok(error instanceof CenoteError, String(error)),
      );
      assert.deepEqual(readdirSync(canary), []);
      assert.deepEqual(readdirSync(outer).toSorted(), ['canary', 'root']);
      assert.deepEqual(
        [statSync(outer), statSync(canary)].map(({ mtimeMs, mode, uid }) => ({ mtimeMs, mode, uid })),
        before,
      );
      rmSync(outer, { recursive: true });
    }),
    { numRuns: fuzzRuns ?? 150 },
  );
});
