/** The pool on the command line: what there is, who has it, the picture, and why a machine is as it is. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import { drawPicture } from '../../src/cli/pool/picture.ts';
import type { PoolReport } from '../../src/cli/pool/report.ts';
import { displayWidth } from '../../src/cli/table.ts';
import { explain } from '../../src/cli/why/explain.ts';
import type { Machine } from '../../src/model/control-api.ts';
import type { EventDetails } from '../../src/model/event.ts';
import { cliFixture, failed, launcher, succeeded } from '../support/cli-fixture.ts';
import type { CliFixture } from '../support/cli-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { watchScript } from '../support/terminal-script.ts';
import type { MachineUsage } from '../../src/model/machine.ts';

describe('the pool on the command line', () => {
  let cli: CliFixture;
  const ids: Record<string, string> = {};
  before(async () => {
    cli = await cliFixture();
    for (const [name, ...flags] of [
      ['web', '--cpu', '0.5', '--memory', '256M', '--net', '10'],
      ['db', '--cpu', '1', '--memory', '1G', '--memory-ceiling', '2G'],
      ['job', '--cpu', '0.1', '--cpu-ceiling', '0.5', '--net-ceiling', '100', '--io-weight', '300', '--io-read', '20M', '--io-write-ops', '50'],
    ])
      succeeded(await cli.cenote('create', name!, ...flags));
    for (const { name, id } of (await cli.cenote('ls', '--json')).json<Machine[]>()) ids[name] = id;
    const { usages } = cli.simulated;
    usages.set(ids['web']!, { cpuSeconds: 2, memoryMib: 300, receivedBytes: 2_500_000, readBytes: 5 * 2 ** 20, memoryLimitMib: 7680 });
    usages.set(ids['db']!, { cpuSeconds: 0.2, memoryMib: 512, memoryLimitMib: 2048, pressure: { cpu: 0, memory: 0, io: 55 } });
    usages.set(ids['job']!, { cpuSeconds: 0.5, throttledSeconds: 0.7, memoryMib: 64, sentBytes: 12_000_000, memoryLimitMib: 100, refusedProcesses: 7 });
  });
  after(() => cli[Symbol.asyncDispose]());

  it('shows capacity, reserve, guarantees, use, what is borrowed and what is free', async () => {
    const { stdout } = succeeded(await cli.cenote('pool'));
    assert.match(stdout, /^3 running, 2 of them borrow: 1\.90 cores and 44M of memory\n/);
    assert.match(stdout, /^RESOURCE +CAPACITY +RESERVE +ELSEWHERE +GUARANTEED +LEFT +USED +BORROWED +FREE$/m);
    assert.match(stdout, /^CPU \(cores\) +4\.00 +0\.20 +0\.00 +1\.60 +\S+ +2\.70 +1\.90 +1\.05$/m);
    assert.match(stdout, /^memory +8G +512M +0M +1\.31G +\S+ +876M +44M +4G$/m);
    assert.match(stdout, /^disk I\/O +- +- +- +- +- +5\.0M\/s +- +-$/m);
    assert.match(stdout, /^network +- +- +- +10 Mbit\/s +- +116 Mbit\/s +106 Mbit\/s +-$/m);
    assert.match(stdout, /^web +2\.00 +0\.5 +1\.50 +- +300M +256M +44M +- +1M +1G +5\.0M\/s +- +weight 100 +20 +- +10 +10 +-$/m);
    assert.match(stdout, /^job +0\.50 +0\.1\.\.0\.5 +0\.40 +0\.70s /m);
    assert.match(stdout, /^job .* weight 300, reads at most 20M\/s, writes at most 50 a second +- +96 +0\.\.100 +96 +-$/m);
    assert.match(stdout, /^db .* 0\/0\/55$/m);
    const report = (await cli.cenote('pool', '--json')).json<PoolReport>();
    assert.deepEqual(
      report.machines.map(({ name }) => name),
      ['web', 'job', 'db'],
      'who borrows most is first',
    );
    assert.deepEqual([Math.round(report.busyMillis), report.resources[0]!.borrowed], [2950, 1900]);
  });

  it('draws the two stacks from the same figures', async () => {
    const { stdout } = succeeded(await cli.cenote('pool', '--picture'));
    assert.match(stdout, /the same machines in slices +this pool, now/);
    assert.match(stdout, /3 operating systems to patch/);
    assert.match(stdout, /1 operating system to patch/);
    assert.match(stdout, /cut off: 1\.90 cores, 44M/);
    const report = (await cli.cenote('pool', '--json')).json<PoolReport>();
    for (const width of [60, 80, 137, 200]) {
      const lines = drawPicture(report, width);
      const boxes = lines.filter((line) => /^[┌│├└]/.test(line));
      assert.equal(new Set(boxes.map(displayWidth)).size, 1, `the boxes of width ${width} are ragged:\n${lines.join('\n')}`);
      assert.ok(displayWidth(boxes[0]!) <= width + 4);
    }
    const crowd = Array.from({ length: 5 }, () => report.machines[0]!);
    for (const width of [70, 80]) {
      const drawn = drawPicture({ ...report, machines: crowd }, width);
      assert.match(drawn.join('\n'), /│5 (?:operating )?systems to patch, \d not shown *│/);
      assert.match(drawn.join('\n'), /cores, 8G; 2\.95 busy *│/);
      assert.match(drawn.at(-1)!, /idle$/);
    }
    const none = drawPicture({ ...report, machines: [] }, 80);
    assert.match(none.join('\n'), /0 operating systems/);
  });

  it('tells what is kept for those that are stopped, and refuses what it could not heed', async () => {
    cli.simulated.pool.stopped = { machines: 2, cpuMillis: 1000, memoryMib: 1536, diskMib: 2048 };
    assert.match(succeeded(await cli.cenote('pool')).stdout, /\n\nkept for 2 stopped machines \(cenote ls\): 1 core, 1\.5G of memory, 2G of disk\n$/);
    delete cli.simulated.pool.stopped;
    assert.doesNotMatch(succeeded(await cli.cenote('pool')).stdout, /kept for/);
    failed(await cli.cenote('pool', '--interval', '5'), 2, /--interval is for --watch/);
    failed(await cli.cenote('pool', '--picture', '--json'), 2, /--picture is drawn/);
    failed(await cli.cenote('top', '--once', '--interval', '5'), 2, /not with --once/);
  });

  it('goes on until q: frames that fit the terminal as it is, and the screen as it was', async (test) => {
    const env = { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath, TERM: 'xterm-256color' };
    const python = await runAny('python3', ['-c', 'import os; os.waitstatus_to_exitcode'], { env }).catch(() => undefined);
    if (python?.code !== 0) return test.skip('python3 (3.9 or later) is not here to make a pseudo-terminal');
    const words = [launcher, '--root', cli.root, 'pool', '--watch', '--interval', '1'];
    const { stdout, stderr } = await runAny('python3', ['-c', watchScript, ...words], { env, timeoutMs: 120_000 });
    const { code, restored, drawn } = JSON.parse(stdout || JSON.stringify({ drawn: stderr })) as { code: number; restored: boolean; drawn: string };
    assert.deepEqual([code, restored], [0, true], drawn);
    const [before, ...frames] = drawn.split('\u001b[H').map((part) => part.split('\u001b[J')[0]!);
    assert.equal(before, '\u001b[?1049h\u001b[?25l');
    assert.ok(drawn.trimEnd().endsWith('\u001b[?25h\u001b[?1049l'), 'the other screen is left');
    const [first, last] = [frames[0]!, frames.at(-1)!].map((frame) => frame.replaceAll('\u001b[K', '').replaceAll('\r', '').split('\n'));
    for (const [lines, width, height] of [
      [first!, 160, 70],
      [last!, 70, 16],
    ] as const) {
      assert.match(lines[0]!, /^3 running, 2 of them borrow: 1\.90 cores/);
      assert.ok(lines.length < height && lines.every((line) => displayWidth(line) <= width), lines.join('\n'));
    }
    assert.match(first!.join('\n'), /this pool, now[^]*^RESOURCE [^]*^web /m, 'where there is room the picture too');
    assert.doesNotMatch(last!.join('\n'), /this pool, now/);
    assert.match(last!.join('\n'), /^memory /m);
  });

  const why = async (name: string) => succeeded(await cli.cenote('why', name)).stdout;

  it('says why: what holds a machine now, what happened to it, what was refused', async () => {
    assert.match(await why('web'), /^web runs\. It uses 2\.00 cores \(0\.5\) and 300M of memory \(256M\)\.\nNothing holds it back/);
    const job = await why('job');
    assert.match(
      job,
      /^- throttled: its CPU ceiling of 0\.5 cores holds it back: its processes waited 0\.70 s .* 1\.05 cores are idle .* cenote resize job --cpu-ceiling none/m,
    );
    assert.match(job, /^- reclaimed: it may have no more than 100M of memory until the pool has more to lend; it uses 64M/m);
    assert.match(job, /^- throttled: its link is full: 96 Mbit\/s of at most 100 Mbit\/s/m);
    assert.match(job, /^- refused: it has reached its limit of processes 7 times since it was started; now it has \d+ of \d+\. /m);
    assert.match(await why('db'), /^- slow: it waits for the disk 55 % of the time/m);

    cli.simulated.emit('governor.reclaimed', ids['web']!, 'reclaimed', {
      usedMib: 1500,
      guaranteeMib: 256,
      borrowedMib: 1244,
      ceilingMib: null,
      hostAvailableMib: 100,
      hostReserveMib: 400,
      reclaimedMib: 700,
      milliseconds: 41.6,
      claimant: ids['db']!,
    } satisfies EventDetails['governor.reclaimed']);
    cli.simulated.emit('governor.killed', ids['web']!, 'killed', {
      usedMib: 900,
      guaranteeMib: 256,
      borrowedMib: 644,
      ceilingMib: null,
      hostAvailableMib: 90,
      hostReserveMib: 400,
      reclaimedMib: 700,
      swapFreeMib: 0,
      pressure: null,
      claimant: null,
      killed: [{ pid: 77, command: 'node', memoryMib: 800 }],
    } satisfies EventDetails['governor.killed']);
    cli.simulated.emit('machine.oom', ids['db']!, 'out of memory', { of: 'another version' });
    cli.simulated.fault = ({ path }) =>
      path === '/v1/resizes' ? { kind: 'refuse', code: 'not_enough', message: 'memory cannot be brought below 90M' } : undefined;
    assert.equal((await cli.cenote('resize', 'web', '--memory-ceiling', '300M')).code, 7);
    cli.simulated.fault = () => undefined;
    const told = await eventually(
      () => why('web'),
      (text) => /killed/.test(text),
    );
    assert.match(
      told,
      /^- reclaimed: \d+s ago: 700M of borrowed memory was taken back in 42 ms for db: it used 1\.46G, 1\.21G above its guarantee of 256M; 100M of the pool were free, which keeps 400M$/m,
    );
    assert.match(
      told,
      /^- killed: \d+s ago: node \(process 77, 800M\) was killed for the host itself, after 700M had been taken back and nothing more could be: /m,
    );
    assert.match(told, /^Nothing holds it back now\. What happened:\n- /m);
    assert.match(told, /^- refused: \d+s ago: resize was refused: memory cannot be brought below 90M$/m);
    assert.match(await why('db'), /^- slow: \d+s ago: out of memory$/m, 'details it does not know are told in the words of the event');
    const { now, reasons } = (await cli.cenote('why', 'web', '--json')).json<{ now: PoolReport['machines'][number]; reasons: { kind: string }[] }>();
    assert.equal(now.memory.usedMib, 300);
    assert.deepEqual(reasons.map(({ kind }) => kind).toSorted(), ['killed', 'reclaimed', 'refused']);
  });

  it('says what a full disk, a full pool and a memory ceiling come to, and what to do', async () => {
    const whyWith = async (name: string, usage: Partial<MachineUsage>): Promise<string> => {
      const former = cli.simulated.usages.get(ids[name]!)!;
      cli.simulated.usages.set(ids[name]!, { ...former, ...usage });
      const { stdout } = succeeded(await cli.cenote('why', name));
      cli.simulated.usages.set(ids[name]!, former);
      return stdout;
    };
    assert.match(
      await whyWith('db', { diskMib: 1023.9 }),
      /^- refused: its disk is full: 1G of 1G with its snapshots; writes fail with "Disk quota exceeded"\. .*: cenote resize db --disk SIZE$/m,
    );
    assert.match(await whyWith('db', { diskMib: 980 }), /^- slow: its disk is nearly full: 980M of 1G with its snapshots; at the end writes fail/m);
    cli.simulated.pool.diskUsedMib = 21_000;
    assert.match(await whyWith('db', {}), /^- refused: the pool's disk is full: 24M of 20\.5G are free; writes fail with "No space left on device"/m);
    cli.simulated.pool.diskUsedMib = 500;
    assert.match(
      await whyWith('db', { memoryMib: 2040, workingSetMib: 2000 }),
      /^- slow: it is at its memory ceiling: 1\.99G of 2G, of which only 40M are file caches that can be dropped; .*: cenote resize db --memory-ceiling SIZE$/m,
    );
    assert.match(
      await whyWith('db', { memoryMib: 1000, swapMib: 400 }),
      /^- slow: 400M of its memory is in swap: it waits when it needs that again\. It is beyond its guarantee of 1G: cenote resize db --memory SIZE$/m,
    );
    assert.match(await whyWith('db', { memoryMib: 500, swapMib: 100 }), /in swap: .* within its guarantee of 1G: cenote doctor says/);
    assert.doesNotMatch(await whyWith('db', { memoryMib: 1000, swapMib: 20 }), /swap/);
    assert.doesNotMatch(await whyWith('db', { memoryMib: 2047, workingSetMib: 300 }), /memory ceiling/, 'caches fill what they may have');
  });

  it('says what its CPU ceiling has cost a machine that it does not hold back now', async () => {
    const machine = (await cli.cenote('get', 'job', '--json')).json<Machine>();
    const pool = (await cli.cenote('pool', '--json')).json<PoolReport>();
    const told = (throttledSeconds: number, throttledInAllSeconds: number): string[] => {
      const machines = pool.machines.map((one) => (one.id === machine.id ? { ...one, cpu: { ...one.cpu, throttledSeconds, throttledInAllSeconds } } : one));
      const now = Date.parse(machine.startedAt!) + 7_200_000;
      return explain({ machine, jobs: [], events: [], pool: { ...pool, machines }, now }).map(({ at, says }) => `${at === null ? 'now' : 'then'}: ${says}`);
    };
    const before = 'then: since it was started, 2h ago, its processes waited 12m in all at a CPU ceiling';
    assert.ok(told(0, 754).includes(before));
    assert.doesNotMatch(told(0, 4).join('\n'), /CPU ceiling/);
    assert.doesNotMatch(told(0.5, 754).join('\n'), /in all/, 'it is held back now');
  });

  it('says what is in the bank of metered bursting', async () => {
    succeeded(await cli.cenote('create', 'meter', '--cpu', '0.1', '--cpu-burst', '0.2:30s'));
    const { id } = (await cli.cenote('get', 'meter', '--json')).json<Machine>();
    cli.simulated.usages.set(id, { burst: { bankSeconds: 12.34, effectiveCeilingMillis: 1000, aboveBaseSeconds: 4.2, belowBaseSeconds: 150 } });
    assert.match(
      succeeded(await cli.cenote('why', 'meter')).stdout,
      /^12\.3 s of 30 s are in its bank, and its ceiling is 1 core now; it was above its baseline of 0\.2 cores for 4s and below for 2m\.$/m,
    );
    succeeded(await cli.cenote('delete', 'meter'));
  });

  it('says of a program that was killed for memory whether its own ceiling was in the way', async () => {
    const ranOut = { usedMib: 2048, guaranteeMib: 1024, borrowedMib: 1024, ceilingMib: 2048, limitMib: 2048, kills: 1 };
    cli.simulated.emit('machine.oom', ids['db']!, 'out of memory', ranOut satisfies EventDetails['machine.oom']);
    cli.simulated.emit('machine.oom', ids['db']!, 'out of memory', { ...ranOut, ceilingMib: null, limitMib: 1500 } satisfies EventDetails['machine.oom']);
    const told = await eventually(
      async () => succeeded(await cli.cenote('why', 'db')).stdout,
      (text) => /1\.46G/.test(text),
    );
    assert.match(told, /the kernel killed a process in it at its memory ceiling of 2G: .*\. A higher ceiling: cenote resize db --memory-ceiling SIZE$/m);
    assert.match(told, /the kernel killed a process in it at 1\.46G, beyond which the pool had no more to lend: .*: cenote resize db --memory SIZE$/m);
  });

  it('says what is pending', async () => {
    cli.simulated.fault = ({ path }) => (path === '/v1/resizes' ? { kind: 'silence' } : undefined);
    assert.match(succeeded(await cli.cenote('resize', 'job', '--processes', '70', '--no-wait')).stdout, /^resizing job: job \S+\n$/);
    // For its first quarter of a second it is shown as waiting.
    await eventually(
      () => why('job'),
      (text) => /^- pending: resize was asked for \d+s ago and is under way$/m.test(text),
    );
    cli.simulated.fault = () => undefined;
  });

  it('says what was refused for want of room, also of a machine that there is not', async () => {
    for (let time = 0; time < 3; time += 1) assert.equal((await cli.cenote('resize', 'web', '--memory', '5000G')).code, 7);
    const told = await why('web');
    assert.match(told, /^- refused: \d+s ago: resize was refused: not enough memory: asked for 5000G, .* at most: it has 256M, and .* are left$/m);
    assert.equal(told.match(/5000G/g)?.length, 1, 'one that is repeated at once is recorded once');
    assert.equal((await cli.cenote('create', 'giant', '--memory', '7000G')).code, 7);
    assert.match(await why('giant'), /^There is no machine giant\.\n- refused: \d+s ago: create was refused: not enough memory: asked for 7000G, .* left\n$/);
    const { state, reasons } = (await cli.cenote('why', 'giant', '--json')).json<{ state: null; reasons: { kind: string }[] }>();
    assert.deepEqual([state, reasons.map(({ kind }) => kind)], [null, ['refused']]);
  });

  it('says why a machine does not run', async () => {
    succeeded(await cli.cenote('stop', 'db'));
    assert.match(succeeded(await cli.cenote('why', 'db')).stdout, /^db is stopped\./);
    assert.equal((await cli.cenote('why', 'nobody')).code, 4);
  });
});
