/** The library of nftables, in this process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import { Nftables } from '../../src/sys/nftables.ts';
import { createNetworkNamespace, inNetworkNamespace } from '../../src/sys/netns.ts';

test('programs that are started do not inherit its socket', async () => {
  const netnsFd = createNetworkNamespace();
  using nftables = inNetworkNamespace(netnsFd, () => new Nftables());
  nftables.run('add table inet probe\n');
  const files = await run('ls', ['-l', '/proc/self/fd']);
  const open = files.split('\n').filter((line) => /socket:/.test(line) && !/ [012] -> /.test(line));
  assert.deepEqual(open, []);
});
