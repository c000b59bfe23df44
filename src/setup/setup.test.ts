import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { CenoteError } from '../base/errors.ts';
import { installed, runAny } from '../exec/run.ts';
import { parseLayout } from '../host/cgroup/layout.ts';
import { checkRoot, instancePaths, parseInstanceConfig } from '../model/instance.ts';
import type { InstanceConfig } from '../model/instance.ts';
import { findAccount } from './account.ts';
import { missingHierarchy } from './control-groups.ts';
import { examineKernel, kernelVersion } from './doctor/kernel.ts';
import { freePort } from './hello.ts';
import { hasCapability, parseMounts } from './host-view.ts';
import { belongsTo } from './leftovers.ts';
import { cutLog, lastLines } from './log-file.ts';
import { choosePool } from './pool-size.ts';
import { identify, isAlive, recallProcess, rememberProcess } from '../sys/process-identity.ts';
import { unitsOf } from './units.ts';

const codeIs = (code: string) => (error: unknown) => error instanceof CenoteError && error.code === code;

const temporary = (context: TestContext, parent = tmpdir()): string => {
  const path = mkdtempSync(`${parent}/setup-`);
  context.after(() => rmSync(path, { recursive: true }));
  return path;
};

const config: InstanceConfig = {
  version: 1,
  instance: 'test',
  number: 3,
  subnet: '10.67.0.0/16',
  uidBlocks: [0x2000_0000],
  storage: { driver: 'btrfs', device: null, poolSizeMib: 4096 },
  user: { name: 'cenote', uid: 990, gid: 990 },
  nodePath: '/usr/bin/node',
  codePath: '/srv/cenote',
  checkoutPath: '/srv/cenote',
};

describe('the instance’s configuration', () => {
  it('is read as it was written, and refused with the place of a mistake', () => {
    assert.deepEqual(parseInstanceConfig('c', JSON.stringify(config)), config);
    assert.throws(
      () => parseInstanceConfig('/x/config.json', JSON.stringify({ ...config, number: 64 })),
      /^CenoteError: \/x\/config\.json\/number: must be <= 63/,
    );
    assert.throws(() => parseInstanceConfig('c', '{'), codeIs('failed'));
    fc.assert(fc.property(fc.json(), (text) => assert.throws(() => parseInstanceConfig('c', text), codeIs('failed'))));
  });

  it('takes plain root directories only', () => {
    assert.equal(checkRoot('/var/lib/cenote/'), '/var/lib/cenote');
    for (const root of ['', '/', 'relative', '/a b', '/a/../b', '/a//b', '/a\nb', '/a;b', '/$x', `/${'x'.repeat(90)}`, '/-x'])
      assert.throws(() => checkRoot(root), codeIs('invalid_argument'), root);
  });
});

describe('units for systemd', () => {
  const units = unitsOf(config, instancePaths('/var/lib/cenote'));

  it('never give the agent a mount namespace of its own, nor end machines with it', () => {
    const agent = units['cenote-test-agent.service']!;
    assert.doesNotMatch(agent, /^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Bind|TemporaryFileSystem|RootDirectory|MountFlags|DynamicUser)/m);
    for (const line of [
      'KillMode=process',
      'Requires=cenote-test-machines.service',
      'Restart=always',
      'OOMScoreAdjust=-900',
      'ExecStart=/usr/bin/node --invocation-count-for-turbofan=30000 /srv/cenote/src/agent/main.ts --root /var/lib/cenote',
    ])
      assert.ok(agent.split('\n').includes(line), line);
  });

  it('protect what serves machines, directly below the root, where it counts', () => {
    for (const [name, weight] of Object.entries({ agent: 400, control: 1600, resolver: 1600, lxcfs: 400, 'stand-in': 400 })) {
      const lines = units[`cenote-test-${name}.service`]!.split('\n');
      for (const line of ['Slice=-.slice', `CPUWeight=${weight}`]) assert.ok(lines.includes(line), `${name}: ${line}`);
      for (const pattern of [/^MemoryMin=\d+M$/, /^OOMScoreAdjust=-?\d+$/])
        assert.equal(lines.filter((line) => pattern.test(line)).length, 1, `${name}: ${pattern}`);
    }
  });

  it('keep machines in a unit of their own, which nothing but stopping it ends', () => {
    const machines = units['cenote-test-machines.service']!.split('\n');
    // Not the end of its one process, nor a machine's death for want of memory, nor many processes.
    for (const line of ['RemainAfterExit=yes', 'Delegate=yes', 'OOMPolicy=continue', 'TasksMax=infinity', 'Slice=-.slice'])
      assert.ok(machines.includes(line), line);
    for (const [name, text] of Object.entries(units)) if (name !== 'cenote-test-machines.service') assert.doesNotMatch(text, /^Delegate/m);
  });

  it('give the control plane no privilege, and one place to write', () => {
    const control = units['cenote-test-control.service']!;
    for (const line of ['User=cenote', 'NoNewPrivileges=yes', 'CapabilityBoundingSet=', 'ProtectSystem=strict', 'ReadWritePaths=/var/lib/cenote/control'])
      assert.ok(control.split('\n').includes(line), line);
    assert.doesNotMatch(control, /MemoryDenyWriteExecute/); // Node compiles as it runs
  });

  it('see a checkout and an instance below /tmp in spite of a /tmp of their own', (context) => {
    const seen = (unit: string): string[] => unit.split('\n').filter((line) => line.startsWith('BindReadOnlyPaths='));
    const below = unitsOf({ ...config, codePath: '/tmp/cenote' }, instancePaths('/var/tmp/mine'));
    for (const name of ['control', 'resolver']) {
      assert.deepEqual(seen(below[`cenote-test-${name}.service`]!), ['BindReadOnlyPaths=/var/tmp/mine', 'BindReadOnlyPaths=/tmp/cenote']);
      assert.deepEqual(seen(units[`cenote-test-${name}.service`]!), []);
    }
    const [directory, checkout] = [temporary(context, '/tmp'), temporary(context, '/tmp')];
    symlinkSync(directory, join(checkout, 'node_modules'));
    const linked = unitsOf({ ...config, codePath: checkout }, instancePaths('/var/lib/cenote'))['cenote-test-control.service']!;
    assert.deepEqual(seen(linked), [`BindReadOnlyPaths=${checkout}`, `BindReadOnlyPaths=${directory}`]);
  });

  it('are what systemd itself accepts', async (context) => {
    if (!(await installed('systemd-analyze'))) return context.skip('needs systemd-analyze');
    const directory = temporary(context);
    for (const [name, text] of Object.entries(units))
      writeFileSync(
        `${directory}/${name}`,
        text
          .replaceAll('/usr/bin/node ', '/bin/true ')
          .replaceAll('User=cenote', 'User=daemon')
          .replaceAll('Group=cenote', 'Group=daemon')
          .replaceAll('/usr/bin/lxcfs', '/bin/true'),
      );
    const { code, stderr } = await runAny('systemd-analyze', ['verify', '--man=no', ...Object.keys(units).map((name) => `${directory}/${name}`)]);
    const about = stderr.split('\n').filter((line) => line.includes('cenote-test'));
    assert.deepEqual(about, []);
    assert.equal(code, 0, stderr);
  });
});

describe('the pool’s size', () => {
  it('leaves the host room, and says so with the numbers', () => {
    const room = (freeMib: number) => ({ freeMib, keptMib: 1024 });
    assert.deepEqual(choosePool({}, null, room(20_000), true), { driver: 'btrfs', device: null, poolSizeMib: 10_000 });
    assert.equal(choosePool({}, null, room(1_000_000), true).poolSizeMib, 65_536);
    assert.equal(choosePool({}, null, room(20_000), false).driver, 'directory');
    assert.equal(choosePool({}, null, { freeMib: 14_000, keptMib: 12_900 }, true).poolSizeMib, 1100, 'a large disk keeps more');
    assert.throws(() => choosePool({}, null, room(1500), true), /1\.46G of disk are free; a pool needs 512M and leaves 1G to the host/);
    assert.throws(() => choosePool({ poolSizeMib: 20_000 }, null, room(20_000), true), codeIs('not_enough'));
    assert.throws(() => choosePool({ poolSizeMib: 100 }, null, room(20_000), true), codeIs('invalid_argument'));
  });

  it('only grows, and moves to no other device', () => {
    const existing = config.storage;
    assert.deepEqual(choosePool({}, existing, { freeMib: 10, keptMib: 1024 }, true), existing);
    assert.equal(choosePool({ poolSizeMib: 5000 }, existing, { freeMib: 3000, keptMib: 1024 }, true).poolSizeMib, 5000);
    assert.throws(() => choosePool({ poolSizeMib: 4000 }, existing, { freeMib: 3000, keptMib: 1024 }, true), /cannot become smaller/);
    const whole = { ...existing, device: '/dev/sdb' };
    assert.throws(() => choosePool({ poolSizeMib: 5000 }, whole, { freeMib: 9000, keptMib: 1024 }, true), /the pool is all of \/dev\/sdb/);
    assert.throws(() => choosePool({ device: '/dev/sdz' }, existing, { freeMib: 3000, keptMib: 1024 }, true), codeIs('wrong_state'));
  });
});

describe('what the host is', () => {
  it('finds the hierarchy a hybrid host lacks, and only there', () => {
    const v1 = '30 29 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n';
    const v2 = '31 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n';
    const controllers = '#subsys_name\thierarchy\nmemory\t1\nhugetlb\t0\n';
    assert.equal(missingHierarchy(parseLayout(v1 + v2), controllers), '/sys/fs/cgroup/hugetlb');
    assert.equal(missingHierarchy(parseLayout(v2), controllers), null);
    assert.equal(missingHierarchy(parseLayout(v1), controllers), null);
    assert.equal(missingHierarchy(parseLayout(v1 + v2), 'memory\t1\n'), null);
    assert.equal(missingHierarchy(parseLayout(`${v1}${v2}32 29 0:28 / /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb\n`), controllers), null);
  });

  it('reads accounts, mounts and capabilities', () => {
    assert.deepEqual(findAccount('cenote', 'root:x:0:0::/:\ncenote:x:990:991::/:\n', 'cenote:x:991:\n'), { name: 'cenote', uid: 990, gid: 991 });
    assert.equal(findAccount('cenote', 'root:x:0:0::/:\n', 'cenote:x:991:\n'), null);
    assert.deepEqual(parseMounts('a /b\\040c ext4 rw,nodev 0 0\n'), [{ path: '/b c', type: 'ext4', options: ['rw', 'nodev'] }]);
    assert.equal(hasCapability(24, 0x1ff_feff_ffffn), false);
    assert.equal(hasCapability(21, 0x1ff_feff_ffffn), true);
  });

  it('tells machines’ processes from others, and instances from each other', () => {
    assert.equal(belongsTo('a', '4:memory:/cenote-a/m1\n0::/\n'), true);
    assert.equal(belongsTo('a', '0::/cenote-a.services\n'), true);
    assert.equal(belongsTo('a', '0::/cenote-a/monitors\n'), true);
    assert.equal(belongsTo('a', '0::/cenote-a-machines.service/monitors\n'), true);
    assert.equal(belongsTo('a', '0::/some.slice/cenote-a-machines.service/m1\n'), true);
    assert.equal(belongsTo('a', '4:memory:/cenote-ab/m1\n0::/user.slice\n'), false);
    assert.equal(belongsTo('a', '0::/system.slice/cenote-a-agent.service\n'), false);
  });

  it('judges what the kernel offers', () => {
    const facts = {
      release: '6.1.0-18-amd64',
      layout: parseLayout('31 29 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n'),
      unifiedControllers: ['cpuset', 'cpu', 'io', 'memory', 'pids'],
      fileSystems: ['overlay', 'btrfs', 'fuse'],
      capabilities: 0x1ff_ffff_ffffn,
      hasPressure: true,
      hasBfq: true,
      maxUserNamespaces: 100,
    };
    const statuses = (over: Partial<typeof facts>): string =>
      examineKernel({ ...facts, ...over })
        .filter(({ name }) => name !== 'fuse')
        .map(({ name, status }) => `${name}=${status}`)
        .filter((text) => !text.endsWith('=ok'))
        .join();
    assert.equal(statuses({}), '');
    assert.equal(statuses({ release: '5.10.0' }), 'kernel=fail');
    assert.equal(statuses({ unifiedControllers: ['cpu'] }), 'cgroups=fail,disk I/O=warn');
    assert.equal(statuses({ hasBfq: false }), 'disk I/O=warn');
    assert.equal(statuses({ fileSystems: ['overlay'] }), 'quota=warn');
    assert.equal(statuses({ capabilities: 0x1ff_feff_ffffn, hasPressure: false }), 'pressure=warn,rlimits=warn');
    assert.match(examineKernel(facts).find(({ name }) => name === 'quota')!.says, /quota groups/);
    assert.ok(kernelVersion('6.18.44') > kernelVersion('6.7'));
  });
});

describe('small parts', () => {
  it('a process is known by its start, not only its number', (context) => {
    const path = `${temporary(context)}/pid`;
    const me = identify(process.pid)!;
    rememberProcess(path, me);
    assert.deepEqual(recallProcess(path), me);
    assert.equal(isAlive({ ...me, startTicks: me.startTicks - 1 }), false);
    for (const text of ['', '{}', 'null', '{"pid":1,"startTicks":1}', '{"pid":"x"}']) {
      writeFileSync(path, text);
      assert.equal(recallProcess(path), null);
    }
  });

  it('a log is cut when it is too long, and its end can be read', (context) => {
    const path = `${temporary(context)}/log`;
    assert.equal(cutLog(path, 10), false);
    writeFileSync(path, 'one\ntwo\nthree\n');
    assert.deepEqual(lastLines(path, 2), ['two', 'three']);
    assert.equal(cutLog(path, 100), false);
    assert.equal(cutLog(path, 10), true);
    assert.equal(readFileSync(path, 'utf8'), '');
    assert.equal(readFileSync(`${path}.1`, 'utf8'), 'one\ntwo\nthree\n');
    assert.deepEqual(lastLines(path, 2), []);
  });

  it('a port that a program or a machine has is passed over', async (context) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    context.after(() => server.close());
    const { port } = server.address() as { port: number };
    const found = await freePort({ portHolder: ({ hostPort }) => (hostPort === port + 1 ? { instance: 'x', machine: 'm' } : null) }, port);
    assert.ok(found > port + 1);
  });
});
