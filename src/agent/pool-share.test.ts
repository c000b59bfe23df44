import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeCgroups } from '../host/cgroup/fake.ts';
import { PoolShare } from './pool-share.ts';

test('of a share that has changed the smaller is promised, until the kernel has been told', () => {
  let share = { cpuMillis: 1000, memoryMib: 4096 };
  const pool = new PoolShare(() => share, Object.assign(new FakeCgroups(() => {}), { poolMib: 4096 }), share);
  share = { cpuMillis: 2000, memoryMib: 8192 };
  assert.deepEqual(pool.promisable, { cpuMillis: 1000, memoryMib: 4096 });
  share = { cpuMillis: 500, memoryMib: 1024 };
  assert.deepEqual(pool.promisable, { cpuMillis: 500, memoryMib: 1024 });
  assert.deepEqual(pool.held, { cpuMillis: 1000, memoryMib: 4096 });
});
