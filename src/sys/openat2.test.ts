import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { closeFd } from './libc.ts';
import { openInRoot } from './openat2.ts';

/** The kernel walks `..` anew when anything was renamed meanwhile, and says so after a few times. */
const path = `a/b/${'../b/'.repeat(60)}`;
const renameScript = `
  const { renameSync } = require('node:fs');
  console.log('on');
  for (;;) { renameSync('x', 'y'); renameSync('y', 'x'); }`;

test('a path is found although names change all the time', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-openat2-'));
  for (const name of ['a/b', 'x']) mkdirSync(join(directory, name), { recursive: true });
  const root = openSync(directory, 'r');
  const renaming = spawn(process.execPath, ['-e', renameScript], { cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(renaming.stdout, 'data');
    for (let times = 0; times < 5000; times += 1) closeFd(openInRoot(root, path));
  } finally {
    renaming.kill();
    await once(renaming, 'exit');
    closeSync(root);
    rmSync(directory, { recursive: true });
  }
});
