/** What someone meets who is neither root nor in the group: plain refusals that say what to do, and a doctor that looks as far as it can. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import type { RunResult } from '../../src/exec/run.ts';
import { launcher } from '../support/instance.ts';

const root = '/tmp/no-cenote-here';
/** A user that every Debian has. */
const asUser = (...words: string[]): Promise<RunResult> => runAny('setpriv', ['--reuid=1', '--regid=1', '--clear-groups', ...words]);
const cenote = (...words: string[]): Promise<RunResult> => asUser(launcher, '--root', root, ...words);

const skip =
  process.getuid?.() !== 0
    ? 'needs root, to become another'
    : (await asUser(launcher, 'version')).code === 0
      ? false
      : 'an ordinary user cannot read this checkout';

test('what changes the host is refused, with the command to say instead', { skip }, async () => {
  for (const words of [['up'], ['down'], ['destroy', '--yes']]) {
    const { code, stderr, stdout } = await cenote(...words);
    assert.deepEqual([code, stdout], [77, ''], stderr);
    assert.ok(stderr.endsWith(`must be run by root\nsudo ./cenote --root ${root} ${words.join(' ')}\n`), stderr);
  }
});

test('the doctor looks at what it may see, and says what it may not', { skip }, async () => {
  const { code, stdout, stderr } = await cenote('doctor');
  assert.equal(stderr, '');
  assert.match(stdout, /^warn +forwarding +can be examined by root only: sudo /m);
  assert.match(stdout, /^ok +privilege /m);
  assert.match(stdout, /^Machines can/m);
  assert.ok(code === 0 || code === 1, String(code));
});
