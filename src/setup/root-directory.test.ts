import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { checkRootDirectory, isOurs, removeRootDirectory, upLockPath } from './root-directory.ts';

describe('a root directory', () => {
  let base: string;
  beforeEach(() => void (base = mkdtempSync(`${tmpdir()}/root-`)));
  afterEach(() => rmSync(base, { recursive: true }));
  const refused = (root: string, why: RegExp, instances: { root: string; instance: string }[] = []): void => {
    assert.throws(() => checkRootDirectory(root, instances), { code: 'invalid_argument', message: why });
  };
  const begun = (root: string): void => {
    mkdirSync(`${root}/run`, { recursive: true });
    writeFileSync(upLockPath(root), '');
  };

  it('is new, empty, or an instance’s', () => {
    const [root, run] = [`${base}/new`, `${base}/new/run`];
    for (const make of [() => {}, () => mkdirSync(root), () => mkdirSync(`${root}/lost+found`), () => mkdirSync(run), () => begun(root)]) {
      make();
      checkRootDirectory(`${base}/new`, []);
    }
    // Known to the host, whatever became of it.
    rmSync(run, { recursive: true });
    writeFileSync(`${base}/new/x`, '');
    refused(`${base}/new`, /in use for something else \(lost\+found, x\)/);
    checkRootDirectory(`${base}/new`, [{ root: `${base}/new`, instance: 'new' }]);
  });

  it('is never a directory of somebody else’s', () => {
    refused('/etc', /^root: \/etc is in use for something else \(/);
    refused('/var', /in use/);
    // As any project of Node has one.
    writeFileSync(`${base}/config.json`, '{"port":80}');
    refused(base, /in use for something else \(config\.json\)/);
    assert.equal(isOurs(base), false);
    writeFileSync(`${base}/file`, '');
    refused(`${base}/file`, /it is not a directory/);
    symlinkSync('/var', `${base}/link`);
    refused(`${base}/link`, /it is not a directory/);
  });

  it('lies in no other, and has none in it', () => {
    const known = [{ root: `${base}/a`, instance: 'a' }];
    refused(`${base}/a/b`, /would lie in each other/, known);
    refused(base, /would lie in each other/, known);
    checkRootDirectory(`${base}/ab`, known);
  });

  it('goes whole, but for what is not ours', () => {
    begun(`${base}/mine`);
    mkdirSync(`${base}/mine/storage`);
    assert.deepEqual(removeRootDirectory(`${base}/mine`), []);
    assert.equal(existsSync(`${base}/mine`), false);
    assert.deepEqual(removeRootDirectory(`${base}/mine`), []);
    begun(`${base}/shared`);
    writeFileSync(`${base}/shared/letter`, '');
    assert.deepEqual(removeRootDirectory(`${base}/shared`), ['letter']);
    assert.deepEqual(readdirSync(`${base}/shared`), ['letter']);
  });
});
