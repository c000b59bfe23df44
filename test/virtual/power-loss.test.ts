/** The plug pulled in the middle of work; the gate has one seed or two, `npm run soak` many. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { lockVirtualHosts, skipVirtualHost } from './one-at-a-time.ts';
import { runPowerLoss } from './power-loss.ts';
import { newDisk, startVirtualHost } from './virtual-host.ts';

const timeout = 30 * 60_000;

it('a virtual host’s disk loses what was not flushed, and only that', { skip: skipVirtualHost, timeout }, async () => {
  await using _lock = await lockVirtualHosts();
  await using disk = await newDisk();
  {
    await using host = await startVirtualHost({ disk, memoryMib: 512 });
    // Past the page cache both, so that the disk has them; only one is flushed.
    await host.succeed('mkdir /test && fallocate -l 8M /test/kept && fallocate -l 8M /test/lost && sync');
    await host.succeed(
      'dd if=/dev/zero bs=1M count=8 2>/dev/null | tr "\\0" k | dd of=/test/kept bs=1M count=8 iflag=fullblock oflag=direct conv=notrunc,fsync 2>/dev/null',
    );
    await host.succeed(
      'dd if=/dev/zero bs=1M count=8 2>/dev/null | tr "\\0" l | dd of=/test/lost bs=1M count=8 iflag=fullblock oflag=direct conv=notrunc 2>/dev/null',
    );
    await host.kill();
  }
  await using host = await startVirtualHost({ disk, memoryMib: 512 });
  const count = async (path: string, letter: string): Promise<number> => Number(await host.succeed(`tr -cd ${letter} < ${path} | wc -c`));
  assert.equal(await count('/test/kept', 'k'), 8 * 1024 * 1024);
  assert.ok((await count('/test/lost', 'l')) < 8 * 1024 * 1024);
});

for (const seed of [1])
  it(`all that was acknowledged is there after a power loss (seed ${seed})`, { skip: skipVirtualHost, timeout }, async (context) => {
    await using _lock = await lockVirtualHosts();
    const outcome = await runPowerLoss(seed, (text) => context.diagnostic(text));
    context.diagnostic(JSON.stringify(outcome));
  });
