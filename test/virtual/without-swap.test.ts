/**
 * The laws of the pool where there is nothing to push memory to: no swap, and no zram in the kernel to make any from. What a borrower has
 * of its own can then be had back only by its end; that neighbours still have what they claim, unharmed, is what is to be seen, also
 * while the agent is dead or stands still.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bringUp, runInside } from './guest-instance.ts';
import { lockVirtualHosts, skipVirtualHost } from './one-at-a-time.ts';
import { startVirtualHost } from './virtual-host.ts';

/** Where a system call costs four times as much, and beside other work, it was not through in 20 minutes. */
const timeout = 60 * 60_000;

it('the pool’s laws hold on a host without swap', { skip: skipVirtualHost, timeout }, async (context) => {
  await using _lock = await lockVirtualHosts();
  await using host = await startVirtualHost({ memoryMib: 2560, kernelArguments: ['module_blacklist=zram'] });
  await bringUp(host, ['--no-hello', '--pool-size', '1G', '--memory', '1G']);
  assert.equal(await host.succeed('grep -c . /proc/swaps'), '1', 'there is swap');
  await runInside(host, 'test/virtual/inside/pool.test.ts', (line) => context.diagnostic(line));
});
