import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { runAny } from '../../exec/run.ts';
import { etcConflicts } from './etc-conflicts.ts';

type Tree = Record<string, string | { link: string } | { mode: number; text: string }>;

const inTrees = async (trees: Record<string, Tree>, use: (root: string) => Promise<void>): Promise<void> => {
  const root = mkdtempSync(join(tmpdir(), 'cenote-etc-'));
  try {
    for (const [tree, files] of Object.entries(trees)) {
      mkdirSync(join(root, tree, 'etc'), { recursive: true });
      for (const [path, content] of Object.entries(files)) {
        const full = join(root, tree, 'etc', path);
        mkdirSync(dirname(full), { recursive: true });
        if (typeof content === 'string') writeFileSync(full, content);
        else if ('link' in content) symlinkSync(content.link, full);
        else {
          writeFileSync(full, content.text);
          chmodSync(full, content.mode);
        }
      }
    }
    await use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
};

test('told is what both have changed, and nothing else', async () => {
  await inTrees(
    {
      upper: {
        'mine-only': 'mine',
        'both.conf': 'mine',
        'd/both': 'mine',
        'd/gone-below': 'mine',
        'd/new-below': 'mine',
        'same-as-new': 'new',
        'mode-below': 'mine',
        hosts: 'mine',
        link: { link: 'mine' },
      },
      former: {
        'both.conf': 'old',
        'd/both': 'old',
        'd/gone-below': 'old',
        'same-as-new': 'old',
        'mode-below': 'x',
        unmoved: 'old',
        hosts: 'old',
        link: { link: 'old' },
      },
      next: {
        'both.conf': 'new',
        'd/both': 'new',
        'd/new-below': 'new',
        'same-as-new': 'new',
        'mode-below': { mode: 0o600, text: 'x' },
        unmoved: 'new',
        hosts: 'new',
        link: { link: 'new' },
      },
    },
    async (root) => {
      assert.deepEqual(await etcConflicts(join(root, 'upper'), [join(root, 'former')], [join(root, 'next')]), [
        '/etc/both.conf',
        '/etc/d/both',
        '/etc/d/gone-below',
        '/etc/d/new-below',
        '/etc/link',
        '/etc/mode-below',
      ]);
      assert.deepEqual(await etcConflicts(join(root, 'upper'), [join(root, 'next')], [join(root, 'next')]), []);
    },
  );
});

test('an upper tree of one link leads nowhere', async () => {
  await inTrees({ former: { passwd: 'old' }, next: { passwd: 'new' } }, async (root) => {
    mkdirSync(join(root, 'upper'));
    symlinkSync('/etc', join(root, 'upper/etc'));
    assert.deepEqual(await etcConflicts(join(root, 'upper'), [join(root, 'former')], [join(root, 'next')]), []);
    assert.deepEqual(await etcConflicts(join(root, 'nothing'), [join(root, 'former')], [join(root, 'next')]), []);
  });
});

test('a file that the machine removed and the system changed is told', { skip: process.getuid?.() !== 0 ? 'needs root' : false }, async () => {
  await inTrees({ upper: {}, former: { a: 'old', b: 'old' }, next: { a: 'new', b: 'old' } }, async (root) => {
    for (const name of ['a', 'b']) await runAny('mknod', [join(root, 'upper/etc', name), 'c', '0', '0']);
    assert.deepEqual(await etcConflicts(join(root, 'upper'), [join(root, 'former')], [join(root, 'next')]), ['/etc/a']);
  });
});
