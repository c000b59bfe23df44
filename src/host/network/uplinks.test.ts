import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogger } from '../../base/logger.ts';
import { parseSubnet } from '../../model/subnet.ts';
import { reserveMbps } from '../../model/uplink-reserve.ts';
import { handleOf, instanceNumberOf, machineRates, othersRates } from './htb.ts';
import { Uplinks } from './uplinks.ts';

describe('the queue on an uplink', () => {
  it('has a class for each address of a /16, and says how many when there are more', async () => {
    const logger = createLogger({ name: 'test', level: 'silent' });
    const uplinks = new Uplinks({ instanceNumber: 3, subnet: parseSubnet('subnet', '10.0.0.0/8'), devices: [], capacityMbps: 100, logger });
    assert.deepEqual(
      ['10.0.0.2', '10.0.255.254'].map((address) => uplinks.classOf(address)),
      ['ce03:2', 'ce03:fffe'],
    );
    for (const address of ['10.0.0.1', '10.0.255.255', '10.1.0.0', '192.0.2.1'])
      assert.throws(() => uplinks.classOf(address), {
        code: 'not_enough',
        message: `${address} has no class on the uplink: there are 65533 for machines, one for each address`,
      });
    await uplinks.close();
  });

  it('tells by its number whose it is', () => {
    const queue = { index: 1, kind: 'htb', handle: handleOf(63) };
    assert.equal(instanceNumberOf(queue), 63);
    assert.equal(instanceNumberOf({ ...queue, kind: 'tbf' }), null);
    for (const handle of [0, 0x0001_0000, 0x8001_0000, handleOf(256), handleOf(-1)]) assert.equal(instanceNumberOf({ ...queue, handle }), null);
  });

  it('never promises more than there is', () => {
    for (const capacity of [1, 2, 10, 100, 999, 10_000, 10_000_000]) {
      const bytes = capacity * 125_000;
      const reserve = reserveMbps(capacity);
      const { rate } = othersRates(reserve, capacity);
      // All that can be promised, to the others, and the least to each of so many machines as there can be.
      const all = (capacity - reserve) * 125_000 + rate + 65_533 * (capacity >= 100 ? machineRates(0, capacity).rate : 0);
      assert.ok(all <= bytes, `${all} of ${bytes} bytes a second`);
      assert.equal(machineRates(capacity + 1, capacity).rate, bytes, 'what was promised of a larger capacity is all of this one');
    }
  });
});
