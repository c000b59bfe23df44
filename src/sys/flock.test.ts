import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import { awaitFileLock, lockFile, tryLockFile } from './flock.ts';

describe('file locks', () => {
  it('exclude a second holder until the first is done', async (context) => {
    const directory = mkdtempSync(`${tmpdir()}/flock-`);
    context.after(() => rmSync(directory, { recursive: true }));
    const path = `${directory}/lock`;
    const first = tryLockFile(path);
    assert.notEqual(first, null);
    assert.equal(tryLockFile(path), null);
    await assert.rejects(lockFile(path, { timeoutMs: 1 }), /locked by another process/);
    const waiting = lockFile(path);
    first![Symbol.dispose]();
    (await waiting)[Symbol.dispose]();
  });

  it('are waited for in the kernel, too', async (context) => {
    const directory = mkdtempSync(`${tmpdir()}/flock-`);
    context.after(() => rmSync(directory, { recursive: true }));
    const path = `${directory}/lock`;
    const first = tryLockFile(path)!;
    let isMine = false;
    const waiting = awaitFileLock(path).then((lock) => {
      isMine = true;
      return lock;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(isMine, false);
    first[Symbol.dispose]();
    using _second = await waiting;
    assert.equal(tryLockFile(path), null);
  });

  it('start again on a new file when the holder removed the old one', async (context) => {
    const directory = mkdtempSync(`${tmpdir()}/flock-`);
    context.after(() => rmSync(directory, { recursive: true }));
    const path = `${directory}/lock`;
    const first = tryLockFile(path)!;
    const waiting = lockFile(path);
    rmSync(path);
    using second = await waiting;
    first[Symbol.dispose]();
    assert.equal(tryLockFile(path), null);
    assert.ok(second.fd >= 0);
  });

  it('follow no link', (context) => {
    const directory = mkdtempSync(`${tmpdir()}/flock-`);
    context.after(() => rmSync(directory, { recursive: true }));
    symlinkSync(`${directory}/elsewhere`, `${directory}/lock`);
    assert.throws(() => tryLockFile(`${directory}/lock`), { code: 'ELOOP' });
  });
});
