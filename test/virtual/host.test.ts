/**
 * The whole way on a host with Debian's stock kernel and cgroup v2 only: a fresh system, `cenote up` with the checkout as it is and no
 * network, the tests inside, `destroy`, and nothing left. Needs root and Debian's packages; see docs/testing.md.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { lockVirtualHosts, skipVirtualHost } from './one-at-a-time.ts';
import { checkout, startVirtualHost } from './virtual-host.ts';
import type { VirtualHost } from './virtual-host.ts';
import { bringUp, guestNode } from './guest-instance.ts';

const insideTests = ['test/virtual/inside/cgroup2.test.ts', 'test/virtual/inside/pool.test.ts'];
const timeout = 20 * 60_000;

describe('a host with Debian’s kernel and cgroup v2 only', { skip: skipVirtualHost, timeout }, () => {
  const stack = new AsyncDisposableStack();
  let host: VirtualHost;
  before(async () => {
    stack.use(await lockVirtualHosts());
    host = stack.use(await startVirtualHost({ memoryMib: 2560 }));
  });
  after(() => stack.disposeAsync());

  it('has v2, pressure figures and no network', async () => {
    assert.match(await host.succeed('cat /sys/fs/cgroup/cgroup.controllers /proc/pressure/memory'), /cpuset cpu io memory[^]*full avg10/);
    assert.equal(await host.succeed('ls /sys/class/net'), 'lo');
  });

  it('comes up, and hello answers', async (context) => {
    await host.succeed(`${guestNode} ${join(checkout, 'test/virtual/inside/audit.ts')} /var/tmp/audit`);
    const { hello, seconds } = await bringUp(host, ['--pool-size', '1G', '--memory', '1G']);
    context.diagnostic(`boot ${(host.bootMs / 1000).toFixed(1)} s, up ${seconds.toFixed(1)} s, hello running after ${hello?.runningMs} ms`);
    assert.ok(hello !== null);
    assert.match(await host.succeed(`busybox wget -q -O - ${hello.url.replace('localhost', '127.0.0.1')}healthz`), /ok/);
  });

  for (const file of insideTests)
    it(`inside: ${file}`, async (context) => {
      const { code, stdout, stderr } = await host.run(`cd ${checkout} && ${guestNode} --test --test-reporter=spec ${file}`, {
        timeoutMs: timeout,
        onLine: (line) => context.diagnostic(line),
      });
      assert.equal(code, 0, stdout.slice(stdout.indexOf('failing tests')) + stderr.slice(-2000));
    });

  it('destroy leaves nothing', async () => {
    await host.succeed(`${checkout}/cenote destroy --yes`, { timeoutMs: 180_000 });
    const { stdout } = await host.run(`${guestNode} ${join(checkout, 'test/virtual/inside/audit.ts')} /var/tmp/audit`);
    assert.equal(stdout, '');
    assert.equal(await host.succeed('ls -d /var/lib/cenote* /run/cenote* 2>/dev/null || true'), '');
  });
});
