/** Ceilings of machines' links, with real packets. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../src/base/logger.ts';
import { run, start } from '../../src/exec/run.ts';
import { openNetwork } from '../../src/host/network/open.ts';
import type { Connection, KeptConnection, Network } from '../../src/host/network/network.ts';
import { firstWord } from '../support/first-word.ts';
import { holds } from './flood.ts';
import { Place, becomeHost, createOutside, outsideAddress } from './network-world.ts';

const subnet = '10.80.0.0/16';
const blue: Connection = { slot: 3, machine: 'blue', address: '10.80.0.5', publish: [] };

test('a ceiling holds both ways, may be changed while it is used, and is found again', async () => {
  await becomeHost();
  const directory = mkdtempSync(join(tmpdir(), 'cenote-ceiling-'));
  const resolvConfPath = join(directory, 'resolv.conf');
  writeFileSync(resolvConfPath, 'nameserver 127.0.0.1\n');
  const logger = createLogger({ name: 'test', level: 'fatal' });
  const open = (): Promise<Network> => openNetwork({ instance: 'one', instanceNumber: 1, subnet, logger, resolvConfPath });
  await using held = new AsyncDisposableStack();
  held.defer(() => rmSync(directory, { recursive: true }));
  const outside = held.use(await createOutside(subnet));
  const blueMachine = held.use(await Place.create('machine'));
  const kept = (ceilingMbps: number | null = null): KeptConnection => ({ ...blue, pid: blueMachine.pid, ceilingMbps });
  let network = await open();
  held.defer(() => network.close({ remove: true }));
  await network.prepare(blue.slot, blueMachine.fd);
  await network.connect(blue, blueMachine.fd, 4);
  // Sends so many bytes to whoever comes, or takes them from who sends, and says how many it took.
  const source = (port: number, bytes: number): string =>
    `require('node:net').createServer((s) => { s.on('error', () => {}); let n = 0; s.once('data', (d) => d[0] === 100 ? s.end(Buffer.alloc(${bytes})) : s.on('data', (d) => { n += d.length; if (n >= ${bytes} - 65536) s.end('.'); })); }).listen(${port}, '0.0.0.0', () => console.log('ready')); setTimeout(process.exit, 60_000);`;
  const megabyte = 1_000_000;
  const busy = start('nsenter', ['--net', '--target', String(outside.pid), process.execPath, '-e', source(90, megabyte)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    await firstWord(busy);
    const client = (way: 'down' | 'up') => `
      const s = require('node:net').connect(90, '${outsideAddress}'); const begun = performance.now(); let n = 0;
      s.on('error', (e) => { console.log(e.code); process.exit(); });
      s.write('${way === 'down' ? 'd' : 'u'}'); ${way === 'down' ? "s.on('data', (d) => (n += d.length));" : `n = ${megabyte}; s.write(Buffer.alloc(n)); s.resume();`}
      s.on('end', () => { console.log(n * 8 / 1000 / (performance.now() - begun)); process.exit(); });`;
    const mbps = async (way: 'down' | 'up') => Number(await blueMachine.run(process.execPath, '-e', client(way)));
    // Slower than the ceiling a busy host may be, faster never: but for the bucket that is full at first.
    const above = 1.25;
    const atMost = async (ceiling: number) => {
      for (const way of ['down', 'up'] as const) {
        const measured = await mbps(way);
        assert.ok(measured > 0 && measured < ceiling * above, `${way}: ${measured} Mbit/s at a ceiling of ${ceiling}`);
      }
    };
    /** Than any is at a former ceiling: that one is gone. */
    const isFasterThan = (former: number, way: 'down' | 'up') =>
      holds(
        async () => [await mbps(way)],
        ([measured]) => assert.ok(measured! > former * above, `${way}: ${measured} Mbit/s after a ceiling of ${former}`),
      );
    await atMost(4);
    await network.limit(blue.slot, blueMachine.pid, 8);
    await atMost(8);
    await isFasterThan(4, 'down');
    await network.close({ remove: false });
    network = await open();
    await network.restore([kept(6)], []);
    await atMost(6);
    await network.limit(blue.slot, blueMachine.pid, null);
    await network.limit(blue.slot, blueMachine.pid, null);
    for (const way of ['down', 'up'] as const) await isFasterThan(6, way);
    await network.limit(blue.slot, blueMachine.pid, 7);
    await network.restore([kept()], []);
    assert.doesNotMatch((await run('ip', ['link', 'show', 'cn1v3'])) + (await blueMachine.run('ip', 'link', 'show', 'eth0')), /tbf/);
    await network.limit(blue.slot, blueMachine.pid, 100_000);
    assert.match(await run('ip', ['link', 'show', 'cn1v3']), /qdisc tbf/, 'beyond what 32 bits hold');
    await network.limit(blue.slot, blueMachine.pid, null);
    await assert.rejects(network.limit(77, blueMachine.pid, 5), { code: 'wrong_state' });
  } finally {
    busy.kill('SIGKILL');
  }
});
