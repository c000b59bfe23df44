import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseTmpfiles, parseUnit, runDirectories } from './run-directories.ts';

const accounts = {
  passwd: 'root:x:0:0::/root:/bin/sh\npostgres:x:106:112::/:/bin/sh\nredis:x:105:111::/:/bin/sh\n',
  group: 'root:x:0:\npostgres:x:112:\nutmp:x:43:\nredis:x:111:\n',
};

test('of tmpfiles.d only plain directories below /run are taken', () => {
  const text = [
    '# a comment',
    'd /run/postgresql 2775 postgres postgres - -',
    'D! /var/run/php/ - - - -',
    'd /run/user 0755 root root -',
    'd /run/%i 0755 root root -',
    'd /run/../etc 0755 root root -',
    'd /run 0700 root root -',
    'd /var/lib/x 0755 root root -',
    'f /run/utmp 0664 root utmp -',
    'L /run/shm - - - - /dev/shm',
    'd /run/odd rwx root root -',
  ].join('\n');
  assert.deepEqual(parseTmpfiles(text), [
    { path: '/run/postgresql', mode: 0o2775, user: 'postgres', group: 'postgres' },
    { path: '/run/php', mode: 0o755, user: 'root', group: 'root' },
  ]);
});

test('a service names directories, its user and a mode', () => {
  assert.deepEqual(parseUnit('[Service]\nUser=redis\nGroup=redis\nRuntimeDirectory=redis a/b\nRuntimeDirectoryMode=2755\n'), [
    { path: '/run/redis', mode: 0o2755, user: 'redis', group: 'redis' },
    { path: '/run/a/b', mode: 0o2755, user: 'redis', group: 'redis' },
  ]);
  assert.deepEqual(parseUnit('[Service]\nRuntimeDirectory=%p systemd/seats\n'), []);
});

test('a root gives its directories, parents first, without those of unknown users', async () => {
  const root = mkdtempSync(join(tmpdir(), 'cenote-run-'));
  try {
    assert.deepEqual(await runDirectories(root, accounts), [{ path: 'run/lock', type: 'directory', mode: 0o1777 }]);
    for (const directory of ['usr/lib/tmpfiles.d', 'etc/tmpfiles.d', 'usr/lib/systemd/system']) mkdirSync(join(root, directory), { recursive: true });
    writeFileSync(join(root, 'usr/lib/tmpfiles.d/a.conf'), 'd /run/replaced 0755 - - -\n');
    writeFileSync(join(root, 'etc/tmpfiles.d/a.conf'), 'd /run/deep/er 0750 postgres - -\nd /run/gone 0755 nosuch root -\n');
    writeFileSync(join(root, 'usr/lib/systemd/system/redis.service'), '[Service]\nRuntimeDirectory=redis\nUser=redis\n');
    writeFileSync(join(root, 'usr/lib/systemd/system/one@.service'), '[Service]\nRuntimeDirectory=one\n');
    assert.deepEqual(await runDirectories(root, accounts), [
      { path: 'run/deep', type: 'directory' },
      { path: 'run/deep/er', type: 'directory', mode: 0o750, uid: 106, gid: 112 },
      { path: 'run/lock', type: 'directory', mode: 0o1777 },
      { path: 'run/redis', type: 'directory', mode: 0o755, uid: 105, gid: 111 },
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('no text leads out of /run', () => {
  const words = fc.constantFrom('d ', '/run', '/', '..', '.', 'a', ' ', '\n', '0755', 'root', 'RuntimeDirectory=', '%i', ':', '\0');
  fc.assert(
    fc.property(fc.array(words, { maxLength: 12 }), (parts) => {
      for (const { path } of [...parseTmpfiles(parts.join('')), ...parseUnit(parts.join(''))]) assert.match(path, /^\/run\/(?!.*(^|\/)\.\.?(\/|$))[^\0 ]+$/);
    }),
  );
});
