/** Which devices `up` has shaped, in a network namespace that plays the host. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/exec/run.ts';
import type { AllottedInstance } from '../../src/host/allotment/allotment.ts';
import { chooseUplinks } from '../../src/setup/uplinks.ts';
import type { UplinkRequest } from '../../src/setup/uplinks.ts';
import { becomeHost } from './network-world.ts';

test('an uplink is that of the default route, or named, and nobody else’s', async (context) => {
  await becomeHost();
  const scratch = mkdtempSync(join(tmpdir(), 'cenote-choice-'));
  context.after(() => rmSync(scratch, { recursive: true }));
  const entry = (instance: string, number: number): AllottedInstance => {
    const root = join(scratch, instance);
    mkdirSync(root);
    return { instance, number, root, subnet: `10.${64 + number}.0.0/16`, uidBlocks: [0x2000_0000], share: null };
  };
  const [mine, other] = [entry('mine', 3), entry('other', 4)];
  const configure = ({ instance, number, root, subnet, uidBlocks }: AllottedInstance, more: object): void => {
    const user = { name: 'cenote', uid: 990, gid: 990 };
    const paths = { nodePath: '/usr/bin/node', codePath: '/srv/cenote', checkoutPath: '/srv/cenote' };
    const storage = { driver: 'btrfs', device: null, poolSizeMib: 4096 };
    writeFileSync(join(root, 'config.json'), JSON.stringify({ version: 1, instance, number, subnet, uidBlocks, storage, user, ...paths, ...more }));
  };
  const choose = async (request: Partial<UplinkRequest> = {}) => chooseUplinks({ networkMbps: 100, uplinks: undefined, ...request }, mine, [mine, other]);
  const refused = (pattern: RegExp, request: Partial<UplinkRequest> = {}) => assert.rejects(choose(request), pattern);

  assert.deepEqual(await choose(), { uplinks: [], lacks: 'this host has no default route' });
  for (const [index, device] of ['up0', 'up1', 'up2'].entries()) {
    await run('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', `${device}peer`]);
    await run('ip', ['link', 'set', device, 'up']);
    await run('ip', ['addr', 'add', `198.51.100.${index * 16 + 1}/28`, 'dev', device]);
  }
  await run('ip', ['route', 'add', 'default', 'via', '198.51.100.2', 'dev', 'up0']);
  assert.deepEqual(await choose(), { uplinks: ['up0'], lacks: null });
  await run('ip', ['route', 'add', 'default', 'via', '198.51.100.18', 'dev', 'up1', 'metric', '50']);
  assert.deepEqual((await choose()).uplinks, ['up0', 'up1']);
  await run('ip', ['route', 'add', 'default', 'metric', '9', 'nexthop', 'via', '198.51.100.2', 'dev', 'up0', 'nexthop', 'via', '198.51.100.34', 'dev', 'up2']);
  await run('ip', ['route', 'add', 'unreachable', 'default', 'metric', '4000']);
  assert.deepEqual((await choose()).uplinks, ['up0', 'up2', 'up1'], 'also where one route leads by several');
  await run('ip', ['route', 'del', 'default', 'metric', '9']);
  assert.deepEqual((await choose({ uplinks: ['up2', 'up2'] })).uplinks, ['up2']);
  assert.deepEqual((await choose({ networkMbps: null })).uplinks, []);
  await refused(/none is said/, { networkMbps: null, uplinks: ['up0'] });
  await refused(/no network device up9/, { uplinks: ['up9'] });
  await refused(/lo does not lead out/, { uplinks: ['lo'] });
  await refused(/cn3v7 does not lead out/, { uplinks: ['cn3v7'] });
  await refused(/9 devices are more than 8/, { uplinks: Array.from({ length: 9 }, (_, index) => `d${index}`) });

  // What was chosen before stays, also while it is away; asked to, it is looked for again.
  configure(mine, { networkMbps: 100, uplinks: ['up2', 'away0'] });
  assert.deepEqual((await choose()).uplinks, ['up2', 'away0']);
  assert.deepEqual((await choose({ uplinks: 'default' })).uplinks, ['up0', 'up1']);

  configure(other, { networkMbps: 100, uplinks: ['up1'] });
  await refused(/up1 is shaped by instance "other"/, { uplinks: 'default' });
  configure(other, { uplinks: ['up1'] });
  assert.deepEqual((await choose({ uplinks: 'default' })).uplinks, ['up0', 'up1'], 'without a capacity it shapes nothing');

  const queue = (handle: string, kind = 'htb') => run('tc', ['qdisc', 'replace', 'dev', 'up0', 'root', 'handle', handle, ...kind.split(' ')]);
  await queue('ce04:');
  await refused(/up0 is shaped by instance "other"/, { uplinks: ['up0'] });
  await queue('ce03:');
  assert.deepEqual((await choose({ uplinks: ['up0'] })).uplinks, ['up0'], 'its own');
  await queue('9:', 'tbf rate 1mbit burst 10k limit 10k');
  await refused(/up0 has a root queue that somebody else made \(tbf 9:\); it is not touched/, { uplinks: ['up0'] });
  assert.match(await run('tc', ['qdisc', 'show', 'dev', 'up0']), /tbf 9:/);
  await queue('ce07:');
  assert.deepEqual((await choose({ uplinks: ['up0'] })).uplinks, ['up0'], 'what an instance that is no more has left');
  assert.doesNotMatch(await run('tc', ['qdisc', 'show', 'dev', 'up0']), /htb/);
});
