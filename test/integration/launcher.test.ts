/** The launcher alone, in a checkout of its own with npm, apt-get, id and a system Node that only pretend. */
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import type { RunResult } from '../../src/exec/run.ts';
import { launcher } from '../support/cli-fixture.ts';

describe('the launcher', () => {
  let directory: string;
  const at = (...parts: string[]): string => join(directory, ...parts);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cenote-launcher-'));
    await mkdir(at('bin'));
    await mkdir(at('checkout', 'src', 'cli'), { recursive: true });
    await copyFile(launcher, at('checkout', 'cenote'));
    await chmod(at('checkout', 'cenote'), 0o755);
    await writeFile(at('checkout', 'src', 'cli', 'main.ts'), 'const words: string[] = process.argv.slice(2);\nprocess.stdout.write(JSON.stringify(words));\n');
    await writeFile(at('checkout', 'package-lock.json'), '{}');
    for (const program of ['sh', 'readlink', 'flock', 'mkdir', 'sleep', 'ln', 'touch', 'cat', 'rm', 'chmod']) {
      const found = await runAny('/bin/sh', ['-c', `command -v ${program}`], { env: { PATH: process.env['PATH']! } });
      if (found.code === 0) await symlink(found.stdout.trim(), at('bin', program));
    }
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const program = async (name: string, script: string): Promise<void> => {
    await writeFile(at('bin', name), `#!/bin/sh\n${script}\n`);
    await chmod(at('bin', name), 0o755);
  };
  const cenote = (...words: string[]): Promise<RunResult> => runAny(at('checkout', 'cenote'), words, { env: { PATH: at('bin'), HOME: directory } });
  const npm = (node = process.execPath): Promise<void> =>
    program(
      'npm',
      `echo "npm $*" >> ${at('calls')}\nsleep 0.2\nmkdir -p node_modules/.bin\nln -sf ${node} node_modules/.bin/node\ntouch node_modules/.package-lock.json`,
    );
  const calls = (): Promise<string[]> =>
    readFile(at('calls'), 'utf8').then(
      (text) => text.trimEnd().split('\n'),
      () => [],
    );

  it('brings in the packages once, and passes on the words as they are', async () => {
    await npm();
    const first = await cenote('create', 'a b', '', "it's", '$HOME', '--', '*');
    assert.equal(first.stdout, JSON.stringify(['create', 'a b', '', "it's", '$HOME', '--', '*']), first.stderr);
    assert.match(first.stderr, /bringing in the packages.*\n(.*\n)*cenote: the packages are there\n/);
    const second = await cenote('ls');
    assert.deepEqual([second.stdout, second.stderr], ['["ls"]', '']);
    assert.equal((await calls()).length, 1);
  });

  it('keeps the words to itself that Node would take for its own', async () => {
    await npm();
    const words = ['create', 'web', '--env-file', '/nowhere/env', '--inspect'];
    const { stdout, stderr } = await cenote(...words);
    assert.equal(stdout, JSON.stringify(words), stderr);
  });

  it('brings them in once although two ask at the same time', async () => {
    await npm();
    const results = await Promise.all([cenote('one'), cenote('two'), cenote('three')]);
    assert.deepEqual(
      results.map(({ stdout }) => stdout),
      ['["one"]', '["two"]', '["three"]'],
    );
    assert.equal((await calls()).length, 1);
  });

  it('has npm run on another Node than the one it is about to replace', async () => {
    await program(
      'npm',
      `echo "$PATH" >> ${at('calls')}\nmkdir -p node_modules/.bin\nln -sf ${process.execPath} node_modules/.bin/node\ntouch node_modules/.package-lock.json`,
    );
    const path = [at('checkout', 'node_modules', '.bin'), at('bin'), at('other')].join(':');
    const { stdout, stderr } = await runAny(at('checkout', 'cenote'), ['ls'], { env: { PATH: path, HOME: directory } });
    assert.equal(stdout, '["ls"]', stderr);
    assert.deepEqual(await calls(), [[at('bin'), at('other')].join(':')]);
  });

  it('brings them in again for `up` after a pull, and for nothing else', async () => {
    await npm();
    await cenote('ls');
    const later = new Date(Date.now() + 60_000);
    await utimes(at('checkout', 'package-lock.json'), later, later);
    await cenote('ls');
    await cenote('--root', 'up', 'ls');
    await cenote('create', 'up');
    assert.equal((await calls()).length, 1);
    await cenote('--root', '/srv/x', 'up', '--yes');
    assert.equal((await calls()).length, 2);
  });

  it('says what is missing when it cannot', async () => {
    assert.match((await cenote('ls')).stderr, /^cenote: npm is missing.*\ninstall it with: apt-get install npm\n$/);
    await program('npm', 'echo registry is away >&2; exit 1');
    const result = await cenote('ls');
    assert.equal(result.code, 69);
    assert.match(result.stderr, /registry is away\ncenote: npm ci failed/);
  });

  it('takes a system Node that is new enough, where none came with the packages', async () => {
    await program('npm', 'mkdir -p node_modules; touch node_modules/.package-lock.json');
    await program('node', 'echo v20.11.0');
    assert.match((await cenote('ls')).stderr, /there is no Node 24 or later/);
    await program('node', `[ "$1" = --version ] && { echo v24.1.0; exit; }\nexec ${process.execPath} "$@"`);
    assert.equal((await cenote('ls')).stdout, '["ls"]');
  });

  it('installs libatomic1 as root when Node wants it, and says so otherwise', async () => {
    await npm(at('atomic-node'));
    const wants = 'echo "node: error while loading shared libraries: libatomic.so.1: cannot open shared object file" >&2; exit 127';
    await writeFile(at('atomic-node'), `#!/bin/sh\n[ -e ${at('libatomic')} ] || { ${wants}; }\nexec ${process.execPath} "$@"\n`);
    await chmod(at('atomic-node'), 0o755);
    await program('id', 'echo 1000');
    await program(
      'apt-get',
      `echo "$*" >> ${at('apt')}\n[ "$1" = update ] && { touch ${at('lists')}; exit; }\n[ -e ${at('lists')} ] && touch ${at('libatomic')}`,
    );
    assert.match((await cenote('ls')).stderr, /libatomic\.so\.1 is missing\ninstall it as root/);
    await program('id', 'echo 0');
    const result = await cenote('ls');
    assert.equal(result.stdout, '["ls"]', result.stderr);
    assert.match(await readFile(at('apt'), 'utf8'), /^install .*libatomic1\nupdate.*\ninstall .*libatomic1\n$/);
  });
});
