import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { start } from '../exec/run.ts';
import { closeFd } from './libc.ts';
import { createNetworkNamespace, inNetworkNamespace } from './netns.ts';
import { Nftables } from './nftables.ts';

const rounds = 3000;
const storm = 'my $end = time + 60; while (time < $end and kill "WINCH", $ARGV[0]) { select undef, undef, undef, 0.00002 }';

test('what a transaction came to is known though signals come in the middle of it', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async () => {
  const namespace = createNetworkNamespace();
  using nftables = inNetworkNamespace(namespace, () => new Nftables());
  closeFd(namespace);
  nftables.run('add table inet t\nadd set inet t s { type ipv4_addr . ipv4_addr; }\n');
  const heard = Promise.withResolvers<void>();
  process.on('SIGWINCH', () => heard.resolve());
  const sender = start('/usr/bin/perl', ['-e', storm, String(process.pid)], { stdio: 'ignore' });
  try {
    await heard.promise;
    for (let round = 0; round < rounds; round += 1) {
      for (const verb of ['create', 'delete']) nftables.run(`${verb} element inet t s { 10.0.0.1 . 10.0.0.1 }\n`);
      await turn();
    }
  } finally {
    sender.kill('SIGKILL');
    await new Promise((resolve) => sender.on('exit', resolve));
    process.removeAllListeners('SIGWINCH');
  }
  assert.match(nftables.run('list table inet t'), /set s/);
});
