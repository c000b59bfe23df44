import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runAny } from '../exec/run.ts';
import { SealedProgram } from './sealed-program.ts';

const inDirectory = async (use: (directory: string) => Promise<void>): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-sealed-'));
  try {
    await use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
};

test('the copy runs, cannot be written, and follows the program', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'program');
    copyFileSync('/bin/true', path);
    using program = new SealedProgram(path);
    const copy = program.path();
    assert.notEqual(copy, path);
    assert.equal((await runAny(copy, [])).code, 0);
    assert.throws(() => writeFileSync(copy, 'x'), /EPERM|ETXTBSY|EACCES/);
    assert.equal(program.path(), copy);
    rmSync(path);
    copyFileSync('/bin/false', path);
    assert.equal((await runAny(program.path(), [])).code, 1);
  }));

test('a program that is not there is said', () => {
  assert.throws(() => new SealedProgram('/nonexistent/program').path(), /ENOENT/);
});
