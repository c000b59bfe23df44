import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceAt } from './lxcfs.ts';

const table = `27 1 254:0 / / rw - ext4 /dev/vda rw
81 27 0:53 / /one/lxcfs rw,nosuid - fuse.lxcfs lxcfs rw
82 27 0:54 / /two/lxcfs rw,nosuid - fuse.lxcfs lxcfs rw
83 82 0:60 / /two/lxcfs rw,nosuid - fuse.lxcfs lxcfs rw
84 27 0:61 / /three/lxcfs rw - tmpfs tmpfs rw
`;

test('the device of the lxcfs that is seen at a path', () => {
  assert.equal(deviceAt(table, '/one/lxcfs'), '0:53');
  assert.equal(deviceAt(table, '/two/lxcfs'), '0:60', 'the last of a stack');
  assert.equal(deviceAt(table, '/three/lxcfs'), null, 'another kind');
  assert.equal(deviceAt(table, '/four/lxcfs'), null);
});
