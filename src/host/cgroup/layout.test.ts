import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLayout } from './layout.ts';

const hybrid = `24 1 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
30 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 24 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 24 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 24 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
34 24 0:23 /below /elsewhere rw - cgroup cgroup rw,memory
`;

test('every tree that machines have groups in is found', () => {
  const { unified, v1, named } = parseLayout(hybrid);
  assert.equal(unified, '/sys/fs/cgroup/unified');
  assert.deepEqual(
    [...v1],
    [
      ['cpu', '/sys/fs/cgroup/cpu,cpuacct'],
      ['cpuacct', '/sys/fs/cgroup/cpu,cpuacct'],
      ['memory', '/sys/fs/cgroup/memory'],
    ],
  );
  assert.deepEqual(named, ['/sys/fs/cgroup/systemd'], 'the runtime makes groups there too, which would stay for ever');
});

test('cgroup v2 alone', () => {
  assert.deepEqual(parseLayout('33 24 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n'), { unified: '/sys/fs/cgroup', v1: new Map(), named: [] });
});
