import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { carryData } from './carry-data.ts';

const write = (root: string, files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
};

test('data that the machine has begun to write becomes its own, whole; the rest stays the system’s', async () => {
  const root = mkdtempSync(join(tmpdir(), 'cenote-carry-'));
  const [upper, merged, lower, image] = ['upper', 'merged', 'lower', 'image'].map((name) => join(root, name)) as [string, string, string, string];
  try {
    write(lower, {
      'var/lib/db/main/a': 'old',
      'var/lib/db/main/b': 'old',
      'var/lib/db/other/c': 'old',
      'var/lib/db/removed': 'old',
      'var/lib/idle/x': 'old',
      'var/lib/dpkg/status': 'old',
      'var/log/l': 'old',
    });
    write(image, { 'var/lib/db/main/b': 'of the image' });
    write(upper, { 'var/lib/db/main/a': 'mine', 'var/lib/dpkg/mine': '', 'var/log/mine': '' });
    symlinkSync('/etc', join(upper, 'var/lib/trap'));
    write(lower, { 'var/lib/trap/passwd': 'old' });
    // What overlay would show: all but what was removed.
    write(merged, { 'var/lib/db/main/b': '', 'var/lib/db/other/c': '', 'var/lib/dpkg/status': '', 'var/lib/idle/x': '' });
    const request = { upper, merged, lowers: [image, lower] };
    assert.deepEqual((await carryData(request)).toSorted(), ['/var/lib/db/main/b', '/var/lib/db/other']);
    assert.equal(readFileSync(join(upper, 'var/lib/db/main/a'), 'utf8'), 'mine');
    assert.equal(readFileSync(join(upper, 'var/lib/db/main/b'), 'utf8'), 'of the image');
    assert.equal(readFileSync(join(upper, 'var/lib/db/other/c'), 'utf8'), 'old');
    for (const path of ['var/lib/db/removed', 'var/lib/idle', 'var/lib/dpkg/status', 'var/log/l']) assert.equal(existsSync(join(upper, path)), false, path);
    assert.deepEqual(await carryData(request), [], 'a second time there is nothing left to do');
  } finally {
    rmSync(root, { recursive: true });
  }
});
