import assert from 'node:assert/strict';
import { closeSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { after, test } from 'node:test';
import { loopFind } from '../../src/sys/loop.ts';
import { cleanUp, newRoot, open, poolFile, skip } from '../support/storage-pools.ts';

after(cleanUp);

const read = (disk: string, file: string): string => readFileSync(`/sys/block/${disk}/${file}`, 'utf8').trim();

test("machines share the pool's own disk by weight, and in short turns", { skip }, async (context) => {
  const root = newRoot();
  const storage = await open(root);
  const { path, fd } = loopFind(poolFile(root))!;
  closeSync(fd);
  const disk = basename(path);
  const scheduler = read(disk, 'queue/scheduler');
  if (!scheduler.includes('bfq')) return context.skip('this kernel has no bfq');
  assert.match(scheduler, /\[bfq\]/);
  assert.deepEqual([read(disk, 'queue/iosched/low_latency'), read(disk, 'queue/iosched/max_budget')], ['0', '512']);
  await storage.close();
});
