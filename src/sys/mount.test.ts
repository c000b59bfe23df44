import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { cloneMount } from './mount.ts';

test('a copy of a mount that cannot be made as asked for is not kept', { skip: process.getuid?.() !== 0 ? 'needs root' : false }, () => {
  const noNamespace = openSync('/dev/null', 'r');
  const open = () => readdirSync('/proc/self/fd').length;
  const former = open();
  assert.throws(() => cloneMount('/usr', { idmapFd: noNamespace, readOnly: true }), { code: 'EINVAL' });
  assert.equal(open(), former);
  closeSync(noNamespace);
});
