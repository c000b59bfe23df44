/** A tree of plain files stands in for the kernel's. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createLogger } from '../../base/logger.ts';
import { CgroupsV2 } from './v2.ts';

test('what the machines together are guaranteed and the kernel does not take is said, and ends nothing', async () => {
  const tree = mkdtempSync(join(tmpdir(), 'cenote-groups-'));
  try {
    const parent = join(tree, 'cenote-test');
    const machine = join(parent, 'one');
    mkdirSync(machine, { recursive: true });
    for (const group of [tree, parent]) for (const file of ['controllers', 'subtree_control']) writeFileSync(join(group, `cgroup.${file}`), '');
    writeFileSync(join(machine, 'memory.min'), '1048576');
    const said: string[] = [];
    const logger = createLogger({ name: 'test', destination: { write: (line) => void said.push(line) } });
    const groups = new CgroupsV2(tree, { parent: { path: '/cenote-test', unit: null }, pool: { memoryMib: 1024, cpuMillis: 1000 }, disk: null, logger });
    // The kernel's own go with the group.
    rmSync(join(machine, 'memory.min'));
    mkdirSync(join(parent, 'memory.min'));
    await groups.remove('one');
    await turn();
    assert.equal(said.length, 1);
    assert.match(said[0]!, /EISDIR/);
    await groups.close();
  } finally {
    rmSync(tree, { recursive: true });
  }
});
