/**
 * From inside a machine, as its root: what it must not use up. The neighbour is a web server, which is asked all the while and has to answer
 * each time; programs used inside are those of every Debian (perl-base, util-linux).
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { instancePaths } from '../../src/model/instance.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { Inside, eventually, webServer } from '../support/inside.ts';

const sleeper = ['/bin/sleep', '1000000'];
const disk = ['--no-watch', '--disk', '256M', '--cpu', '0.01'];
const little = [...disk, '--memory', '48M'];
const poolMib = 1024;
const mib = 2 ** 20;
/** By architecture, as `POSIX::uname` tells it: inotify_init1. */
const inotify = '(POSIX::uname())[4] eq "x86_64" ? 294 : 26';

describe('what a machine uses up inside', { skip: skipInstance, timeout: 900_000 }, () => {
  let instance: TestInstance;
  let machines: Inside;
  const shell = (name: string, script: string) => machines.shell(name, script);
  const inside = (name: string, script: string) => machines.run(name, script);
  const during = <Result>(work: () => Promise<Result>) => machines.answersDuring('neighbour', work);
  /** That it was told, with the reason, in the event stream. */
  const told = async (name: string, type: string, message: RegExp) => {
    const { id } = await machines.status(name);
    const lines = (await instance.must('events', '--json')).trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as { type: string; subject: string; message: string });
    assert.ok(
      events.some((event) => event.type === type && event.subject === id && message.test(event.message)),
      `no ${type} of ${name}: ${JSON.stringify(events.filter(({ subject }) => subject === id))}`,
    );
  };

  before(async () => {
    instance = await startInstance({ poolSizeMib: 2048, memoryMib: poolMib });
    machines = new Inside(instance);
    await instance.must('create', 'neighbour', ...little, '--image', 'node', '--', ...webServer);
    await instance.must('create', 'box', ...little, '--memory-ceiling', '256M', '--processes', '200', '--', ...sleeper);
    await eventually(() => machines.answers('neighbour'));
  });
  after(async () => {
    machines[Symbol.dispose]();
    await instance[Symbol.asyncDispose]();
  });

  test('processes without end', () =>
    during(async () => {
      // All of them go on for ever, and nothing ends when one more is refused.
      const bomb = ['--', 'perl', '-e', 'while (1) { defined fork or select undef, undef, undef, 0.1 }'];
      await instance.must('create', 'bomb', ...little, '--processes', '50', ...bomb);
      const { id } = await machines.status('bomb');
      await eventually(async () => assert.notEqual((await machines.agent.machineUsage(id)).refusedProcesses, 0));
      // The kernel counts one more for the moment in which it refuses it.
      await eventually(async () => assert.equal((await machines.agent.machineUsage(id)).processes, 50));
      assert.match(await instance.must('why', 'bomb'), /it has reached its limit of processes \d+ times since it was started; now it has 5[01] of 50\./);
      await instance.must('delete', 'bomb');
    }));

  test('an end for want of processes says so', async () => {
    // dash ends when it cannot fork.
    const shellOfMany = ['--', '/bin/sh', '-c', 'while :; do sleep 1000 & done'];
    await instance.must('create', 'many', ...little, '--processes', '50', '--restart', 'never', ...shellOfMany);
    await eventually(async () => assert.notEqual((await machines.status('many')).exit, null));
    assert.match(await instance.must('why', 'many'), /it does not run: exited with code 2 after it had reached its limit of processes (once|\d+ times)$/m);
    await instance.must('delete', 'many');
  });

  test('memory: the one who takes it is killed, and the reason is told', async () => {
    const { pid } = await machines.status('neighbour');
    await during(async () => {
      const taker = ['--', 'perl', '-e', '$x .= "x" x 1_000_000 while 1'];
      await instance.must('create', 'hungry', ...disk, '--memory', '32M', '--memory-ceiling', '48M', '--restart', 'never', ...taker);
      await eventually(async () => assert.notEqual((await machines.status('hungry')).exit, null));
    });
    const { exit, state } = await machines.status('hungry');
    assert.equal(exit!.outOfMemory, true, exit!.reason);
    assert.match(exit!.reason, /want of memory.* 48M/);
    assert.notEqual(state, 'running');
    assert.equal((await machines.status('neighbour')).pid, pid);
    await eventually(() => told('hungry', 'machine.exited', /want of memory/));
    const why = await instance.must('why', 'hungry');
    assert.equal(why.match(/kill/g)?.length, 2, `told once: ${why}`);
    assert.match(
      why,
      /^- killed: it does not run: killed for want of memory: it had all of the 48M that it may have\. A higher ceiling: cenote resize hungry --memory-ceiling SIZE$/m,
    );
    await instance.must('delete', 'hungry');
  });

  test('memory: where the machine goes on, it is told what it used when one in it was killed', async () => {
    const script = `perl -e '$x .= "x" x 1_000_000 while 1'; exec sleep 100000`;
    await instance.must('create', 'greedy', ...disk, '--memory', '32M', '--memory-ceiling', '48M', '--', '/bin/sh', '-c', script);
    await eventually(() => told('greedy', 'machine.oom', /ceiling of 48M/));
    assert.match(
      await instance.must('why', 'greedy'),
      /^- killed: .*the kernel killed a process in it at its memory ceiling of 48M: it used 48M, 16M above its guarantee of 32M\. .*: cenote resize greedy --memory-ceiling SIZE$/m,
    );
    await instance.must('delete', 'greedy');
  });

  test('files in memory, pipes and sockets full of what nobody reads are memory of its own', async () => {
    const bombs = {
      shm: 'exec dd if=/dev/zero of=/dev/shm/big bs=1M',
      names: `exec perl -e 'for my $n (0 .. 10_000_000) { open my $f, ">", "/dev/shm/" . "f" x 200 . $n or sleep 1 }'`,
      pipes: `exec perl -e 'for (1 .. 100) { fork or do { my @p; while (pipe my $r, my $w) { $w->blocking(0); syswrite $w, "x" x 65536; push @p, $r, $w } sleep 1000 } } sleep 1000' -MIO::Handle`,
      sockets: `exec perl -MSocket -MIO::Handle -e 'for (1 .. 100) { fork or do { my @s; while (socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, 0) { $a->blocking(0); 1 while syswrite $a, "x" x 65536; push @s, $a, $b } sleep 1000 } } sleep 1000'`,
    };
    for (const [what, script] of Object.entries(bombs)) {
      await during(async () => {
        await instance.must(
          'create',
          what,
          ...disk,
          '--memory',
          '32M',
          '--memory-ceiling',
          '64M',
          '--processes',
          '120',
          '--restart',
          'never',
          '--',
          '/bin/sh',
          '-c',
          script,
        );
        const { id } = await machines.status(what);
        let most = 0;
        await eventually(async () => {
          const { memoryMib } = await machines.agent.machineUsage(id);
          most = Math.max(most, memoryMib);
          assert.ok(most >= 40 || (await machines.status(what)).exit !== null, `${what}: ${most} MiB`);
        });
        assert.ok(most <= 65, `${what} took ${most} MiB`);
        await instance.must('delete', what);
      });
    }
  });

  test('all machines together do not fill the host’s swap', async () => {
    const takers = ['greedy-1', 'greedy-2', 'greedy-3'];
    const taker = ['--', 'perl', '-e', `my $x = "x" x ${800 * mib}; sleep 1000000`];
    await during(async () => {
      for (const name of takers) await instance.must('create', name, ...disk, '--memory', '16M', '--restart', 'never', ...taker);
      await eventually(async () => {
        const ended = await Promise.all(takers.map(async (name) => (await machines.status(name)).exit));
        const { used, most } = takenMib(instance.instance);
        assert.ok(ended.some((exit) => exit?.outOfMemory === true) || used > most);
      });
    });
    const { used, most } = takenMib(instance.instance);
    assert.ok(used <= most, `${used} MiB taken, of ${most}`);
    for (const name of takers) await instance.must('delete', name);
  });

  test('output beyond the quota goes, the newest stays', () =>
    during(async () => {
      const talk = '$| = 1; for (1 .. 400_000) { print "line $_ ", "x" x 100, "\\n" } print "the last\\n"; sleep 1000000';
      await instance.must('create', 'talker', ...little, '--', 'perl', '-e', talk);
      const { id } = await machines.status('talker');
      const logs = join(instancePaths(instance.root).agent, 'logs', id);
      // A file may have two names there for a while.
      const size = () =>
        new Map(readdirSync(logs).map((name) => [statSync(join(logs, name)).ino, statSync(join(logs, name)).size])).values().reduce((sum, one) => sum + one, 0);
      let most = 0;
      await eventually(async () => {
        most = Math.max(most, size());
        assert.match(await instance.must('logs', 'talker', '--tail', '1'), /the last/);
      });
      assert.ok(most <= 20 * mib, `${most} bytes of log`);
      const kept = (await instance.must('logs', 'talker')).trim().split('\n');
      assert.ok(kept.length > 10_000, `${kept.length} lines kept`);
      const numbers = kept.slice(0, -1).map((line) => Number(/^line (\d+) /.exec(line)?.[1]));
      assert.ok(
        numbers.every((number, index) => index === 0 || number === numbers[index - 1]! + 1),
        'no line is missing between',
      );
      await instance.must('delete', 'talker');
    }));

  test('a full disk and a great many files', () =>
    during(async () => {
      await instance.must('create', 'hoarder', ...little, '--', ...sleeper);
      const written = await shell('hoarder', 'dd if=/dev/zero of=/srv/big bs=1M count=400');
      assert.match(written.stderr, /quota exceeded|no space/i);
      assert.equal(await inside('neighbour', 'dd if=/dev/zero of=/srv/mine bs=1M count=50 2>/dev/null && sync && stat -c %s /srv/mine'), String(50 * mib));
      await inside('hoarder', 'rm /srv/big && sync');
      const many = `mkdir /srv/many; perl -e 'for (1 .. 100_000) { open my $f, ">", "/srv/many/" . "f" x 200 . $_ or die "$_ $!\\n" }'`;
      const made = await shell('hoarder', many);
      if (made.code !== 0) assert.match(made.stderr, /quota exceeded|no space|Cannot allocate/i);
      await inside('neighbour', 'echo more > /srv/more && sync && cat /srv/more');
      await instance.must('delete', 'hoarder');
    }));

  test('a machine whose disk is full starts, and makes room by itself', async () => {
    await instance.must('create', 'full', '--disk', '64M', '--memory', '48M', '--cpu', '0.01');
    await instance.cenote('exec', 'full', '--', 'sh', '-c', 'dd if=/dev/zero of=/srv/big bs=64k; sync; while echo x > /srv/$((i += 1)) && sync; do :; done');
    for (const word of ['reboot', 'stop', 'start']) await instance.must(word, 'full');
    assert.notEqual((await instance.cenote('exec', 'full', '--', 'sh', '-c', 'head -c 30000000 /dev/zero > /srv/more')).code, 0, 'no more room than before');
    await instance.must('exec', 'full', '--', 'rm', '/srv/big');
    await instance.until('full', ['sh', '-c', 'head -c 30000000 /dev/zero > /srv/more && sync']);
    await instance.must('delete', 'full');
  });

  test('open files and sockets without end', () =>
    during(async () => {
      const open = `perl -MSocket -e 'for (1 .. 10) { next if fork; my @s; while (socket(my $s, AF_INET, SOCK_DGRAM, 0)) { push @s, $s; last if @s > 5_000 } sleep 5; exit }' & sleep 2`;
      await shell('box', open);
      assert.equal(await inside('neighbour', 'echo here'), 'here');
    }));

  test('what the kernel counts for the host user behind all machines: inotify and namespaces', () =>
    during(async () => {
      const watchers = `perl -MPOSIX -e 'my $n = 0; $n++ while $n < 20_000 and syscall(${inotify}, 0) >= 0; print "$n\\n"'`;
      const many = Number(await inside('box', watchers));
      assert.ok(many > 0 && many <= 128, `${many} inotify instances`);
      const nested = `perl -e 'my $n = 0; my ($clone, $unshare) = (0x10000000, shift); $n++ while $n < 2_000 and syscall($unshare, $clone) == 0; print "$n\\n"' $(perl -MPOSIX -e 'print +(POSIX::uname())[4] eq "x86_64" ? 272 : 97')`;
      const namespaces = Number(await inside('box', nested));
      assert.ok(namespaces <= 512, `${namespaces} user namespaces`);
      assert.equal(
        await inside('box', 'cat /proc/sys/user/max_inotify_instances; echo 100000 > /proc/sys/user/max_inotify_instances 2>/dev/null || true'),
        '128',
      );
      assert.ok(Number(await inside('neighbour', watchers)) >= 100);
      // With systemd it is in the host's own journal.
      const log = join(instancePaths(instance.root).log, 'agent.log');
      if (existsSync(log)) assert.doesNotMatch(readFileSync(log, 'utf8'), /"msg":"namespace maker"/);
    }));
});

/** What all machines have taken, and the most that they may: of memory and swap together on v1, of swap on v2. */
const takenMib = (instanceName: string): { used: number; most: number } => {
  const meminfo = readFileSync('/proc/meminfo', 'utf8');
  const total = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);
  const swapMib = Math.ceil((total('SwapTotal') / 1024) * (poolMib / (total('MemTotal') / 1024)));
  const [v1, v2] = [`/sys/fs/cgroup/memory/cenote-${instanceName}`, `/sys/fs/cgroup/cenote-${instanceName}`];
  const usedMib = (path: string): number => Math.ceil(Number(readFileSync(path, 'utf8')) / mib);
  return existsSync(v1)
    ? { used: usedMib(`${v1}/memory.memsw.usage_in_bytes`), most: poolMib + swapMib }
    : { used: usedMib(`${v2}/memory.swap.current`), most: swapMib };
};
