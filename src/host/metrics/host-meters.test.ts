import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePressure } from '../cgroup/pressure.ts';
import { hostMeters, parseBusySeconds, parseMemory } from './host-meters.ts';

test('the meters of a host', () => {
  assert.equal(parseBusySeconds('cpu  100 50 200 9000 300 10 40 7 0 0\ncpu0 1 2 3\n'), 4);
  assert.deepEqual(parseMemory('MemTotal:       2048 kB\nMemFree: 5 kB\nMemAvailable:   1024 kB\nSwapTotal: 0 kB\n'), {
    memoryMib: 2,
    memoryAvailableMib: 1,
    swapMib: 0,
    swapFreeMib: 0,
  });
  assert.equal(parsePressure('some avg10=12.34 avg60=1 avg300=1 total=5\nfull avg10=1.00 avg60=0 avg300=0 total=0\n'), 12.34);
  const here = hostMeters('0:0');
  assert.ok(here.memoryMib > here.memoryAvailableMib && here.memoryAvailableMib > 0 && here.cpuBusySeconds > 0);
  assert.equal(here.disk, null);
});
