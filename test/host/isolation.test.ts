/**
 * From inside a machine, as its root: what it must not see or touch. Programs used inside are those of every Debian (perl-base,
 * util-linux). The neighbour is a web server that has to answer all the while.
 */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { capabilities } from '../../src/host/runtime/specification.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { Inside, eventually, webServer } from '../support/inside.ts';

const sleeper = ['/bin/sleep', '1000000'];
const guaranteeMib = 48;
const little = ['--disk', '256M', '--memory', `${guaranteeMib}M`];
const secret = 'only the neighbour may read this';
/** Bits of linux/capability.h. */
const capabilityBits: Record<(typeof capabilities)[number], number> = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_BIND_SERVICE: 10,
  CAP_SYS_CHROOT: 18,
  CAP_SETFCAP: 31,
};
/** May stand on a program's file, and is not gained by it. */
const netRaw = 13;

/** What changes or looks into the kernel or the host as a whole: numbers on amd64 and on arm64. */
const reachingCalls: Readonly<Record<string, readonly [number, number]>> = {
  acct: [163, 89],
  add_key: [248, 217],
  bpf: [321, 280],
  clock_settime: [227, 112],
  delete_module: [176, 106],
  fanotify_init: [300, 262],
  finit_module: [313, 273],
  init_module: [175, 105],
  io_uring_setup: [425, 425],
  kexec_load: [246, 104],
  open_by_handle_at: [304, 265],
  perf_event_open: [298, 241],
  pivot_root: [155, 41],
  quotactl: [179, 60],
  reboot: [169, 142],
  request_key: [249, 218],
  sethostname: [170, 161],
  settimeofday: [164, 170],
  swapoff: [168, 225],
  swapon: [167, 224],
  userfaultfd: [323, 282],
};

describe('from inside a machine', { skip: skipInstance, timeout: 900_000 }, () => {
  let instance: TestInstance;
  let machines: Inside;
  const status = (name: string) => machines.status(name);
  const shell = (name: string, script: string) => machines.shell(name, script);
  const inside = (name: string, script: string) => machines.run(name, script);
  const refuses = (script: string, why: RegExp) => machines.refuses('box', script, why);
  const neighbourAnswers = () => machines.answers('neighbour');

  before(async () => {
    instance = await startInstance({ poolSizeMib: 3072 });
    machines = new Inside(instance);
    await instance.must('create', 'box', ...little, '--processes', '200', '--', ...sleeper);
    await instance.must('create', 'neighbour', ...little, '--image', 'node', '--', ...webServer);
    await inside('neighbour', `mkdir -m 700 /srv/own && echo '${secret}' > /srv/own/file && chmod 666 /srv/own/file`);
    await eventually(neighbourAnswers);
  });
  after(async () => {
    machines[Symbol.dispose]();
    await instance[Symbol.asyncDispose]();
  });

  test('other processes cannot be seen or signalled', async () => {
    const neighbour = await status('neighbour');
    const seen = (await inside('box', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "')).replaceAll(/\s+/g, ' ');
    assert.ok(seen.includes('sleep 1000000') && !/node|conmon|lxcfs/.test(seen), seen);
    await refuses(`kill -0 ${neighbour.pid}`, /No such process/);
    await refuses(`ls /proc/${neighbour.pid}`, /No such file/);
    // All that there is may be killed: then only the box itself is hit.
    await instance.must('create', 'reckless', ...little, '--', ...sleeper);
    await shell('reckless', 'kill -9 -1');
    await neighbourAnswers();
    assert.equal((await status('neighbour')).pid, neighbour.pid);
    await instance.must('delete', 'reckless');
  });

  test('nothing can be mounted or unmounted, no device made, no module loaded', async () => {
    await refuses('mount -t tmpfs none /mnt', /permission denied|not permitted/i);
    await refuses('mount --bind /tmp /proc/sys', /permission denied|not permitted/i);
    await refuses('mount -o remount,rw /sys', /permission denied|not permitted/i);
    await refuses('umount /proc/keys', /permission denied|not permitted|must be superuser/i);
    await refuses('mknod /tmp/disk b 254 0', /not permitted/i);
    await refuses('mknod /tmp/memory c 1 1', /not permitted/i);
    // delete_module: 176, and 106 elsewhere
    await refuses(
      `perl -MPOSIX -e 'my $module = "loop"; syscall((POSIX::uname())[4] eq "x86_64" ? 176 : 106, $module, 0) == 0 or die "$!\\n"'`,
      /not permitted/i,
    );
    await refuses('chroot /proc/1/root /bin/sh -c "mount -t proc proc /proc"', /permission denied|not permitted/i);
    await refuses('nsenter --target 1 --mount --net true', /permission denied|not permitted/i);
  });

  test('calls and sockets that reach past every namespace are refused', async () => {
    const numbers = Object.entries(reachingCalls)
      .map(([name, [amd64, arm64]]) => `${name} => [${amd64}, ${arm64}]`)
      .join(', ');
    const tried = `my $is_arm = (POSIX::uname())[4] eq "aarch64"; my %calls = (${numbers});
      for (sort keys %calls) { next if syscall($calls{$_}[$is_arm], 0, 0, 0, 0, 0, 0) == -1 && ($!{EPERM} || $!{ENOSYS}); print "$_ $!\n" }`;
    assert.equal(await inside('box', `perl -MPOSIX -MErrno -e '${tried}'`), '');
    // Unix, IPv4, IPv6 and the settings of its own network namespace; no packets, no crypto, no hypervisor.
    const opened = 'for my $family (3 .. 60) { for my $type (1, 2, 3, 5) { print "$family " if socket my $s, $family, $type, 0 } }';
    assert.deepEqual([...new Set((await inside('box', `perl -MSocket -e '${opened}'`)).split(' '))], ['10', '16']);
    await refuses(`perl -MSocket -e 'socket(my $s, 16, 3, 9) or die "$!\n"'`, /invalid argument/i);
    await inside('box', 'useradd joe && id joe'); // asks for audit, and takes this answer for a host without
  });

  test('protected files of the kernel stay protected', async () => {
    for (const path of ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/sys/kernel/uevent_helper', '/proc/irq/default_smp_affinity'])
      await refuses(`echo 1 > ${path}`, /read-only|permission denied|nonexistent|cannot create/i);
    for (const path of ['/proc/sysrq-trigger', '/proc/kcore', '/proc/kmsg', '/dev/mem', '/dev/kmsg'])
      await refuses(`head -c1 ${path} | grep -q . || { cat ${path} >&2; false; }`, /./);
    assert.equal(
      await inside('box', 'cat /proc/keys /proc/timer_list /proc/interrupts; ls /sys/firmware /sys/dev/block'),
      '/sys/dev/block:\n\n/sys/firmware:'.trim(),
    );
    await refuses('dmesg', /not permitted/i);
  });

  test('a user namespace of its own gains a machine nothing', async () => {
    // Where such a namespace can be made, its root may mount; but nothing that shows more than the machine sees.
    for (const script of [
      'unshare -Ur sh -c "cat /proc/kmsg"',
      'unshare -Urm umount /proc/keys',
      'unshare -Urm mount -o remount,rw,bind /proc/sys',
      'unshare -Urmpf mount -t proc proc /mnt',
      'unshare -Urmn mount -t sysfs sysfs /mnt',
      'unshare -Ur mknod /tmp/disk b 254 0',
      'unshare -UrmC sh -c "mount -t cgroup -o memory none /mnt && echo 1 > /mnt/memory.limit_in_bytes"',
      'unshare -UrmC sh -c "mount -t cgroup -o memory none /mnt && echo /tmp/x > /mnt/release_agent"',
      'unshare -UrmC sh -c "mount -t cgroup2 none /mnt && mkdir /mnt/more"',
    ])
      await refuses(
        script,
        /permission denied|not permitted|invalid|must be superuser|read-only|nonexistent|cannot create|wrong fs|special device|not mounted/i,
      );
  });

  test('it sees its own control group only, and may not write there', async () => {
    const groups = (await inside('box', 'cat /proc/self/cgroup')).split('\n').map((line) => line.split(':')[2]);
    assert.deepEqual([...new Set(groups)], ['/']);
    assert.equal(await inside('box', 'find /sys/fs/cgroup -name "cenote*" | wc -l'), '0');
    assert.equal(await inside('box', 'find /sys/fs/cgroup -type f -writable 2>/dev/null -exec sh -c "echo 0 > {}" \\; -print 2>/dev/null | wc -l'), '0');
    await refuses('echo 0 > $(find /sys/fs/cgroup -name cgroup.procs | head -1)', /read-only|permission|cannot create/i);
    await refuses('mkdir $(find /sys/fs/cgroup -name cgroup.procs | head -1 | xargs dirname)/more', /read-only|permission/i);
  });

  test('its network is its own', async () => {
    assert.equal(await inside('box', 'ls /sys/class/net'), 'eth0\nlo');
    assert.equal(await inside('box', 'cat /sys/class/net/eth0/ifindex >/dev/null && grep -c : /proc/net/dev'), '2');
    // A low port binds, for an ordinary user too.
    await inside(
      'box',
      `setpriv --reuid 33 --regid 33 --clear-groups perl -MIO::Socket::INET -e 'IO::Socket::INET->new(LocalPort => 80, Listen => 1) or die "$!\\n"'`,
    );
    await refuses(`perl -MSocket -e 'socket(my $s, AF_INET, SOCK_RAW, 255) or die "$!\\n"'`, /not permitted/i);
    await refuses('ip link set eth0 address 02:00:00:00:00:99', /not permitted/i);
  });

  test('the sockets and files of the host are not there', async () => {
    const paths = instancePaths(instance.root);
    for (const path of [paths.root, paths.agentSocket, paths.controlSocket, '/var/lib/cenote-host', `/run/cenote-${instance.instance}`])
      await refuses(`ls ${path}`, /No such file/);
    const marker = join(instance.directory, 'marker');
    writeFileSync(marker, 'of the host');
    for (const root of ['/proc/1/root', '/proc/self/root', '/proc/self/cwd/../../../..']) await refuses(`cat ${root}${marker}`, /No such file/);
    assert.equal(await inside('box', 'grep -cF "$" /etc/shadow || true'), '0', 'password hashes of the host');
    // Abstract sockets belong to the network namespace.
    assert.equal(await inside('box', 'grep -c @ /proc/net/unix || true'), '0');
    await refuses('touch /usr/bin/new', /read-only/i);
    await refuses('echo x >> /etc/resolv.conf', /read-only|permission denied/i);
  });

  test('ids on disk are 0 to 65535, and in the host two ranges that do not meet', async () => {
    await inside('box', 'echo x > /srv/zero && chown 65535:65535 /srv/zero && echo y > /srv/one');
    const volume = join(instance.root, 'storage/pool/volumes', (await status('box')).id, 'upper/srv');
    assert.deepEqual(
      ['zero', 'one'].map((name) => statSync(join(volume, name)).uid),
      [65_535, 0],
    );
    const range = async (name: string) =>
      readFileSync(`/proc/${(await status(name)).pid}/uid_map`, 'utf8')
        .trim()
        .split(/\s+/)
        .map(Number);
    const [own, other] = [await range('box'), await range('neighbour')];
    assert.deepEqual([own[0], own[2], other[0], other[2]], [0, 65_536, 0, 65_536]);
    assert.ok(Math.abs(own[1]! - other[1]!) >= 65_536 && own[1]! >= 65_536 && other[1]! >= 65_536);
    assert.equal(statSync(`/proc/${(await status('box')).pid}/root/srv/one`).uid, own[1]);
    await refuses('chown 65536 /srv/one', /invalid argument/i);
    // Even with the neighbour's root directory in hand, another machine's root is nobody there.
    const { pid } = await status('neighbour');
    const stranger = ['--reuid', String(own[1]), '--regid', String(own[1]), '--clear-groups'];
    const tried = await runAny('/usr/bin/setpriv', [...stranger, 'cat', `/proc/${pid}/root/srv/own/file`]);
    assert.notEqual(tried.code, 0);
    assert.match(tried.stderr, /Permission denied/);
  });

  test('privileges are those of the usual container, at start and in exec alike', async () => {
    const set = (bits: readonly number[]): string =>
      bits
        .reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n)
        .toString(16)
        .padStart(16, '0');
    const bits = capabilities.map((name) => capabilityBits[name]);
    const wanted = set(bits);
    // By its guarantee, of 1 GiB (host/cgroup/oom-score.ts).
    const oomScore = String(Math.round(900 - (guaranteeMib / 1024) * 1000));
    for (const pid of ['1', 'self']) {
      const text = await inside('box', `cat /proc/${pid}/status`);
      const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(text)?.[1];
      assert.deepEqual(
        [field('CapPrm'), field('CapEff'), field('CapBnd'), field('CapInh'), field('CapAmb')],
        [wanted, wanted, set([...bits, netRaw]), set([]), set([])],
        pid,
      );
      assert.deepEqual([field('NoNewPrivs'), field('Seccomp')], ['1', '2'], pid);
      // Else what is executed in a machine outlives its first process, and the services of the host.
      assert.equal(await inside('box', `cat /proc/${pid}/oom_score_adj`), oomScore, pid);
    }
    assert.equal(await inside('box', 'ls /dev | tr "\\n" " "'), 'core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero');
    assert.match(await inside('box', 'ping -c 1 -W 5 127.0.0.1 && setpriv --reuid 33 --regid 33 --clear-groups ping -c 1 -W 5 127.0.0.1'), / 0% packet loss/);
    // Set-uid does nothing, unless the image says that it may.
    const setuid = 'cp /usr/bin/id /srv/id && chmod u+s /srv/id && setpriv --reuid 33 --regid 33 --clear-groups /srv/id -u';
    assert.equal(await inside('box', setuid), '33');
    writeFileSync(join(instance.directory, 'config.json'), JSON.stringify({ Cmd: sleeper, Labels: { 'cenote.no-new-privileges': 'false' } }));
    writeFileSync(join(instance.directory, 'index'), 'content');
    await instance.must('image', 'create', 'lenient', '--from', instance.directory, '--config', join(instance.directory, 'config.json'));
    await instance.must('create', 'lenient', ...little, '--image', 'lenient');
    assert.equal(await inside('lenient', setuid), '0');
    assert.match(await inside('lenient', 'cat /proc/1/status'), /NoNewPrivs:\s0/);
    await instance.must('delete', 'lenient');
    await instance.must('image', 'delete', 'lenient');
  });
});
