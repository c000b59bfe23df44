/**
 * One life of a host with Debian's stock kernel, systemd and cgroup v2 only: a fresh system, `cenote up` with the checkout as it is and no
 * network, the tests inside, the plug pulled in the middle of work, everything back after the next boot, `destroy`, and nothing left.
 * `npm test` leaves out the second boot. Needs root and Debian's packages; see docs/testing.md.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bringUp, guestNode, helloAnswers, runInside } from './guest-instance.ts';
import { checkout } from './image.ts';
import { lockVirtualHosts, skipVirtualHost } from './one-at-a-time.ts';
import { checkComeBack, losePower } from './power-loss.ts';
import type { LostPower } from './power-loss.ts';
import { newDisk, startVirtualHost } from './virtual-host.ts';
import type { VirtualHost } from './virtual-host.ts';
import type { VirtualDisk } from './virtual-disk.ts';

const insideTests = ['test/virtual/inside/cgroup2.test.ts', 'test/virtual/inside/pool.test.ts', 'test/virtual/inside/resizes.test.ts'];
/** Where a system call costs four times as much, and beside other work, it was not through in 20 minutes. */
const timeout = 60 * 60_000;
const seed = 1;
const skipPowerLoss = process.env['TEST_VIRTUAL'] === undefined ? 'only with TEST_VIRTUAL=1' : false;
const audit = `${guestNode} ${join(checkout, 'test/virtual/inside/audit.ts')} /var/tmp/audit`;

describe('a host with Debian’s kernel, systemd and cgroup v2 only', { skip: skipVirtualHost, timeout }, () => {
  const stack = new AsyncDisposableStack();
  let disk: VirtualDisk;
  let host: VirtualHost;
  let lost: LostPower;
  const boot = async () => {
    host = stack.use(await startVirtualHost({ disk, init: 'systemd', memoryMib: 2560 }));
  };
  const swaps = () => host.succeed('tail -n +2 /proc/swaps');
  before(async () => {
    stack.use(await lockVirtualHosts());
    disk = stack.use(await newDisk());
    await boot();
  });
  after(() => stack.disposeAsync());

  it('has v2, pressure figures and no network', async () => {
    assert.match(await host.succeed('cat /sys/fs/cgroup/cgroup.controllers /proc/pressure/memory'), /cpuset cpu io memory[^]*full avg10/);
    assert.equal(await host.succeed('ls /sys/class/net'), 'lo');
  });

  it('comes up, and hello answers', async (context) => {
    await host.succeed(audit);
    assert.equal(await swaps(), '', 'Debian’s host comes without swap');
    const { hello, seconds } = await bringUp(host, ['--pool-size', '1G', '--memory', '1G']);
    context.diagnostic(`boot ${(host.bootMs / 1000).toFixed(1)} s, up ${seconds.toFixed(1)} s, hello running after ${hello?.runningMs} ms`);
    await helloAnswers(host);
    // Half of the host's memory, since it had none: else borrowed memory could only come back by a kill.
    const [, sizeKib] = /^\/dev\/zram\d+\s+partition\s+(\d+)\s[^\n]*$/.exec(await swaps()) ?? [];
    assert.ok(sizeKib !== undefined, 'there is one, of zram');
    const totalKib = Number(await host.succeed('sed -n "s/^MemTotal: *\\([0-9]*\\).*/\\1/p" /proc/meminfo'));
    assert.ok(Math.abs(Number(sizeKib) - totalKib / 2) < 2048, `${sizeKib} KiB of swap on a host of ${totalKib}`);
  });

  for (const file of insideTests)
    it(`inside: ${file}`, async (context) => {
      await runInside(host, file, (line) => context.diagnostic(line));
    });

  it('loses its power in the middle of work', { skip: skipPowerLoss }, async () => {
    lost = await losePower(host, seed, 6);
  });

  it('comes back by itself with all that was acknowledged', { skip: skipPowerLoss }, async (context) => {
    const begun = performance.now();
    await boot();
    await helloAnswers(host);
    context.diagnostic(JSON.stringify(await checkComeBack(host, lost, begun)));
  });

  it('destroy leaves nothing', async () => {
    await host.succeed(`${checkout}/cenote destroy --yes`, { timeoutMs: 300_000 });
    assert.equal((await host.run(audit)).stdout, '');
    assert.equal(await swaps(), '', 'the swap that `up` made is still there');
    assert.equal(
      await host.succeed('ls -d /var/lib/cenote* /run/cenote* /etc/systemd/system/cenote* /run/systemd/system.control/cenote* 2>/dev/null || true'),
      '',
    );
  });
});
