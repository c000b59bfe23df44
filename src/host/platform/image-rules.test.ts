import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { appNameRule, checkAppTree, checkSystemTree, copyRoot } from './image-rules.ts';
import { pruneAgainst } from './prune.ts';

const inTemporary = async (run: (directory: string) => Promise<void>) => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-image-'));
  try {
    await run(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

const tree = (root: string, files: Record<string, string>) => {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), content);
  }
};

const filesBelow = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted();

test('an app keeps to what the platform leaves it', () => {
  for (const [name, flag] of [
    ['app/x', '0'],
    ['opt', '5'],
    ['etc/app.conf', '0'],
    ['dev', '5'],
    ['proc', '5'],
    ['data', '0'],
    ['usrlocal/x', '0'],
    ['binary', '0'],
  ] as const)
    appNameRule(name, flag);
  for (const [name, flag, why] of [
    ['usr/local/bin/x', '0', /\/usr is the platform's/],
    ['usr', '5', /\/usr is the platform's/],
    ['bin/x', '0', /replace the platform's \/bin/],
    ['lib64', '2', /replace the platform's \/lib64/],
    ['dev/x', '0', /\/dev is made anew/],
    ['etc', '2', /replace the directory \/etc/],
    ['app', '0', /replace the directory \/app/],
  ] as const)
    assert.throws(() => appNameRule(name, flag), why);
});

test('an image in layers is no root, and what to do is said', () =>
  inTemporary(async (root) => {
    for (const [name, files] of Object.entries({
      saved: ['manifest.json', 'repositories', 'blobs/sha256/0'],
      former: ['manifest.json', `${'0a'.repeat(32)}/layer.tar`],
      layout: ['oci-layout', 'index.json'],
    })) {
      tree(join(root, name), Object.fromEntries(files.map((file) => [file, ''])));
      for (const check of [checkAppTree, checkSystemTree]) await assert.rejects(check(join(root, name)), { message: /docker save/, advice: /docker export/ });
    }
    tree(join(root, 'site'), { 'manifest.json': '', 'app/index.html': '' });
    await checkAppTree(join(root, 'site'));
    tree(join(root, 'whole'), { 'oci-layout': '', 'usr/bin/x': '' });
    await checkSystemTree(join(root, 'whole'));
  }));

test('a finished tree is judged again, as it lies there', () =>
  inTemporary(async (root) => {
    tree(root, { 'app/x': '', 'opt/y': '' });
    mkdirSync(join(root, 'dev'));
    await checkAppTree(root);
    writeFileSync(join(root, 'dev/x'), '');
    await assert.rejects(checkAppTree(root), /\/dev is made anew/);
    rmSync(join(root, 'dev'), { recursive: true });
    symlinkSync('/tmp', join(root, 'var'));
    await assert.rejects(checkAppTree(root), /replace the directory \/var/);
  }));

test('an own userland needs one, and gets the directories a machine is mounted on', () =>
  inTemporary(async (root) => {
    await assert.rejects(checkSystemTree(root), /neither \/usr nor \/bin/);
    tree(root, { 'bin/sh': '' });
    await checkSystemTree(root);
    assert.deepEqual(readdirSync(root).toSorted(), ['.zonecontrol', 'bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp']);
    assert.equal(statSync(join(root, 'tmp')).mode & 0o7777, 0o1777);
    rmSync(join(root, 'proc'), { recursive: true });
    symlinkSync('/', join(root, 'proc'));
    await assert.rejects(checkSystemTree(root), /\/proc of the image is not a directory/);
  }));

test('a machine’s root is copied without what is not its own', () =>
  inTemporary(async (directory) => {
    const [from, app, system] = [join(directory, 'from'), join(directory, 'app'), join(directory, 'system')];
    for (const path of [from, app, system]) mkdirSync(path);
    tree(from, { 'usr/bin/x': '', 'etc/mine': '1', 'etc/hostname': 'one', 'proc/1': '', 'run/y': '', 'tmp/z': '', 'app/.hidden': '2', '-odd': '3' });
    symlinkSync('usr/sbin', join(from, 'bin'));
    await copyRoot(from, app, 'app', new AbortController().signal);
    assert.deepEqual(filesBelow(app), ['-odd', 'app/.hidden', 'etc/mine']);
    await copyRoot(from, system, 'system', new AbortController().signal);
    assert.deepEqual(filesBelow(system), ['-odd', 'app/.hidden', 'bin', 'etc/hostname', 'etc/mine', 'usr/bin/x']);
    assert.equal(statSync(join(system, 'etc/hostname')).size, 0);
  }));

test('what is the platform’s own is taken out of an app’s image again', () =>
  inTemporary(async (directory) => {
    const [root, template] = [join(directory, 'root'), join(directory, 'template')];
    tree(template, { 'etc/same': 'a', 'etc/changed': 'b', 'var/lib/only/same': 'c', 'etc/retyped': 'd' });
    symlinkSync('same', join(template, 'etc/link'));
    const copied = async () => copyRoot(template, root, 'system', new AbortController().signal);
    mkdirSync(root);
    await copied();
    tree(root, { 'etc/changed': 'B', 'etc/mine': 'e', 'app/x': 'f' });
    rmSync(join(root, 'etc/retyped'));
    mkdirSync(join(root, 'etc/retyped'));
    await pruneAgainst(root, [template]);
    assert.deepEqual(filesBelow(root), ['app/x', 'etc/changed', 'etc/mine']);
    assert.deepEqual(readdirSync(root).toSorted(), ['app', 'etc'], 'directories that are the template’s go too');
    assert.ok(statSync(join(root, 'etc/retyped')).isDirectory());
  }));
