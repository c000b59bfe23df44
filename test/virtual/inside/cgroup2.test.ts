/**
 * An instance on a host with cgroup v2 only and full quota groups, as most hosts are and the usual test host is not. Runs inside the
 * virtual host, on the instance that `cenote up` has made at the default root; skipped elsewhere.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { after, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../../src/client/control.ts';
import { hostFacts } from '../../../src/host/allotment/host-facts.ts';
import { parentPaths } from '../../../src/host/cgroup/parent.ts';
import type { Accepted, CreateMachine, Machine } from '../../../src/model/control-api.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { agentPid } from './agent-pid.ts';
import { shell } from './exec.ts';
import { skipInside } from './inside.ts';

const paths = instancePaths(defaultRoot);
const socket = paths.controlSocket;
const tree = `/sys/fs/cgroup${parentPaths('default').find((path) => existsSync(`/sys/fs/cgroup${path}`))}`;
const mib = 1024 * 1024;
const jobSeconds = 120;
const name = 'probe';

/** A first process that takes up what others leave behind, so that nothing of the dead counts. */
const reaper = ['/usr/bin/perl', '-e', '$SIG{CHLD} = "IGNORE"; sleep 1000 while 1'];

const control = new ControlClient(socket);
after(() => control[Symbol.dispose]());

const done = async (action: Promise<Accepted>): Promise<Machine> => {
  const { job, machine } = await action;
  assert.equal(job.state, 'succeeded', `${job.action}: ${job.reason}`);
  return machine!;
};
const refused = async (action: Promise<Accepted>): Promise<string> => {
  try {
    const { job } = await action;
    assert.equal(job.state, 'failed', `${job.action} should have been refused`);
    return job.reason ?? '';
  } catch (error) {
    assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), String(error));
    return error.message;
  }
};
const wait = { wait: jobSeconds };
const create = (json: CreateMachine) => done(control.machineCreate(json, wait));
const group = (id: string, file: string): string => readFileSync(`${tree}/${id}/${file}`, 'utf8').trim();
const inside = async (script: string): Promise<string> => {
  const { code, output } = await shell(socket, name, script);
  assert.equal(code, 0, `${script}: ${output}`);
  return output.trim();
};

it('says what host this is', { skip: skipInside }, async () => {
  const { agent } = await control.info();
  assert.equal(agent?.host.cgroup, 'v2');
  assert.equal(agent?.storage.driver, 'btrfs');
  assert.equal(agent?.storage.quota, 'qgroup');
  assert.ok(hostFacts().isOnHost('default'));
});

it('writes guarantees and ceilings, and changes them live', { skip: skipInside }, async () => {
  const { id } = await create({
    name,
    command: reaper,
    resources: { cpuMillis: 100, memoryMib: 64, memoryCeilingMib: 128, diskMib: 64, processes: 60 },
    stopGraceSeconds: 1,
  });
  const limits = () => ['memory.min', 'memory.max', 'cpu.weight', 'cpu.max', 'pids.max'].map((file) => group(id, file));
  assert.deepEqual(limits(), [String(64 * mib), String(128 * mib), '100', 'max 100000', '60']);
  const { pid } = JSON.parse(await inside('echo "{\\"pid\\": $$}"')) as { pid: number };
  assert.ok(pid > 0);
  await done(control.machineResize(id, { resources: { cpuMillis: 200, cpuCeilingMillis: 500, memoryMib: 96, memoryCeilingMib: 160, processes: 80 } }, wait));
  assert.deepEqual(limits(), [String(96 * mib), String(160 * mib), '200', '50000 100000', '80']);
  await done(control.machineResize(id, { resources: { cpuMillis: 100, cpuCeilingMillis: null, memoryMib: 64, memoryCeilingMib: 128, processes: 60 } }, wait));
  assert.deepEqual(limits(), [String(64 * mib), String(128 * mib), '100', 'max 100000', '60']);
});

it('shares and limits the disk and the link, live', { skip: skipInside }, async () => {
  const { agent } = await control.info();
  // On v2 all of it can be had, as long as the kernel's bfq can be loaded.
  const hasWeight = agent!.unsupported.length === 0;
  assert.ok(hasWeight || agent!.unsupported.every(({ field }) => field === 'ioWeight'), JSON.stringify(agent!.unsupported));
  const weight = hasWeight ? { ioWeight: 300 } : {};
  const { id } = await control.machineGet(name);
  const disk = () => group(id, 'io.max').replace(/^\d+:\d+ /, '');
  assert.equal(disk(), '');
  await done(control.machineResize(id, { resources: { ...weight, ioReadMibps: 20, ioWriteMibps: 4, ioWriteIops: 500, networkCeilingMbps: 100 } }, wait));
  assert.equal(disk(), `rbps=${20 * mib} wbps=${4 * mib} riops=max wiops=500`);
  if (hasWeight) assert.match(group(id, 'io.bfq.weight'), /\b300$/m);
  // Slower than the limit a busy host may be, faster never.
  const begun = performance.now();
  await inside('dd if=/dev/zero of=/var/tmp/slow bs=1M count=16 oflag=direct 2>/dev/null; rm /var/tmp/slow');
  const rate = 16 / ((performance.now() - begun) / 1000);
  assert.ok(rate < 4 * 1.25, `${rate} MiB/s at a limit of 4`);
  const none = { ioWeight: 100, ioReadMibps: null, ioWriteMibps: null, ioWriteIops: null, networkCeilingMbps: null };
  await done(control.machineResize(id, { resources: none }, wait));
  assert.equal(disk(), '');
  const pool = await control.pool();
  assert.ok(pool.host.pressure !== null);
  const own = pool.machines.find((machine) => machine.name === name)!.usage;
  assert.ok(own.pressure !== null && own.writtenBytes >= 16 * mib, JSON.stringify(own));
});

it('a shrink that cannot be is refused with the floor, and nothing is held back by it', { skip: skipInside }, async () => {
  const { id } = await control.machineGet(name);
  // Swap takes what nobody touches, so it is touched all the time.
  await inside(`(perl -e '$x = "a" x 60e6; $i = 0; while (1) { substr($x, ($i += 4096) % 6e7, 1) = "b" }' & echo $! > /var/tmp/pid) > /dev/null 2>&1`);
  for (const deadline = Date.now() + 60_000; Number(group(id, 'memory.current')) < 60e6; await sleep(100)) assert.ok(Date.now() < deadline, 'it is not there');
  const before = ['memory.max', 'memory.high', 'memory.swap.max', 'cpu.weight', 'pids.max'].map((file) => group(id, file));
  const said = await refused(control.machineResize(id, { resources: { memoryMib: 4, memoryCeilingMib: 4, cpuMillis: 30, processes: 50 } }, wait));
  assert.match(said, /memory cannot be brought below \d+M, which the machine uses now; 4M was asked for/);
  assert.deepEqual(
    ['memory.max', 'memory.high', 'memory.swap.max', 'cpu.weight', 'pids.max'].map((file) => group(id, file)),
    before,
  );
  await inside('kill $(cat /var/tmp/pid)');
});

it('shows a machine its own group, memory and no controls', { skip: skipInside }, async () => {
  assert.equal(await inside('cat /sys/fs/cgroup/memory.max'), String(128 * mib));
  assert.notEqual((await shell(socket, name, 'echo max > /sys/fs/cgroup/memory.max')).code, 0);
  assert.match(await inside('grep MemTotal /proc/meminfo'), /\b131072 kB/);
});

it('takes page cache back to become smaller, and refuses below what is in use', { skip: skipInside }, async () => {
  const { id } = await control.machineGet(name);
  await inside('head -c 40000000 /dev/zero > /var/tmp/cached; cat /var/tmp/cached > /dev/null');
  await done(control.machineResize(id, { resources: { memoryMib: 16, memoryCeilingMib: 32 } }, wait));
  assert.equal(group(id, 'memory.max'), String(32 * mib));
  assert.ok(Number(group(id, 'memory.current')) <= 32 * mib);
  await inside('rm /var/tmp/cached');
  await done(control.machineResize(id, { resources: { memoryMib: 64, memoryCeilingMib: 128 } }, wait));
});

it('a fork bomb ends at the limit of processes', { skip: skipInside }, async () => {
  const { id } = await control.machineGet(name);
  await shell(socket, name, 'i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null');
  assert.ok(Number(group(id, 'pids.current')) <= 60);
  assert.match(group(id, 'pids.events'), /^max [1-9]/);
  for (const deadline = Date.now() + 60_000; Number(group(id, 'pids.current')) > 5; await sleep(500)) assert.ok(Date.now() < deadline, 'they do not end');
});

it('what asks for more memory than the ceiling is killed, and nothing else', { skip: skipInside }, async () => {
  const { id } = await control.machineGet(name);
  const others = await control.machineList();
  const { code } = await shell(socket, name, 'head -c 400000000 /dev/urandom | tail -c 400000000 > /dev/null');
  assert.notEqual(code, 0);
  assert.match(group(id, 'memory.events'), /^oom_kill [1-9]/m);
  const now = await control.machineList();
  assert.deepEqual(
    now.map(({ name: one, state, restarts }) => [one, state, restarts]),
    others.map(({ name: one, state, restarts }) => [one, state, restarts]),
  );
});

it('holds the disk quota to the megabyte, and moves it both ways', { skip: skipInside }, async () => {
  const { id } = await control.machineGet(name);
  const fill = async () => {
    await shell(socket, name, 'rm -f /var/tmp/fill; dd if=/dev/urandom of=/var/tmp/fill bs=64k count=4000 conv=fsync');
    return Number(await inside('stat -c %s /var/tmp/fill')) / mib;
  };
  const first = await fill();
  assert.ok(first > 58 && first <= 64, `${first} MiB of 64`);
  await done(control.machineResize(id, { resources: { diskMib: 100 } }, wait));
  const second = await fill();
  assert.ok(second > 94 && second <= 100, `${second} MiB of 100`);
  assert.match(await refused(control.machineResize(id, { resources: { diskMib: 64 } }, wait)), /\d/);
  assert.equal((await control.machineGet(id)).resources.diskMib, 100);
  await inside('rm /var/tmp/fill; sync');
  await done(control.machineResize(id, { resources: { diskMib: 64 } }, wait));
});

it('snapshots stand still for a moment, and rolling back brings the data back', { skip: skipInside }, async () => {
  const { id } = await control.machineGet(name);
  await inside('echo before > /srv/state');
  await done(control.snapshotCreate(id, { name: 'first' }, wait));
  const [snapshot] = await control.snapshotList(id);
  assert.ok(snapshot!.freezeMs > 0);
  assert.equal(group(id, 'cgroup.freeze'), '0');
  await inside('echo after > /srv/state');
  await done(control.snapshotRollback(id, 'first', wait));
  assert.equal(await inside('cat /srv/state'), 'before');
  await done(control.snapshotDelete(id, 'first', wait));
});

it('monitors have a group of their own, and what all are guaranteed is the sum', { skip: skipInside }, async () => {
  const machines = (await control.machineList()).filter(({ state }) => state === 'running');
  const monitors = group('monitors', 'cgroup.procs').split('\n');
  assert.equal(monitors.length, machines.length);
  for (const pid of monitors) assert.equal(readFileSync(`/proc/${pid}/comm`, 'utf8'), 'conmon\n');
  const sum = machines.reduce((all, { resources }) => all + resources.memoryMib * mib, 0);
  for (const deadline = Date.now() + 60_000; group('.', 'memory.min') !== String(sum); await sleep(500))
    assert.ok(Date.now() < deadline, `${group('.', 'memory.min')} is not ${sum}`);
  const { agent } = await control.info();
  assert.equal(group('.', 'memory.max'), String(agent!.pool.memoryMib * mib));
});

it('an agent that is killed comes back, and no machine notices', { skip: skipInside }, async () => {
  const processes = () =>
    new Map(readdirSync(tree, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [[entry.name, group(entry.name, 'cgroup.procs')]] : [])));
  const before = processes();
  const agent = await agentPid();
  process.kill(agent!, 'SIGKILL');
  for (const deadline = Date.now() + 240_000; ; await sleep(500)) {
    const next = await agentPid();
    if (next !== null && next !== agent && (await shell(socket, name, 'true').catch(() => null))?.code === 0) break;
    assert.ok(Date.now() < deadline, 'the agent did not come back');
  }
  assert.deepEqual(processes(), before);
});

it('logs, stop, start and delete', { skip: skipInside }, async () => {
  const machine = await create({
    name: 'speaker',
    command: ['/bin/sh', '-c', 'echo spoken; exec sleep 1000'],
    stopGraceSeconds: 1,
    resources: { diskMib: 64 },
  });
  const logs = async (): Promise<string> => text(await control.logs(machine.id, { tail: 10 }));
  // It runs before its shell has come to the first word.
  for (const deadline = Date.now() + 60_000; !(await logs()).includes('spoken'); await sleep(500)) assert.ok(Date.now() < deadline, 'it has said nothing');
  assert.equal((await done(control.machineStop(machine.id, {}, wait))).state, 'stopped');
  assert.equal(existsSync(`${tree}/${machine.id}`), false);
  assert.equal((await done(control.machineStart(machine.id, wait))).state, 'running');
  for (const { id } of [machine, await control.machineGet(name)]) await control.machineDelete(id, wait);
  assert.equal(existsSync(`${tree}/${machine.id}`), false);
});

it('a create takes little more than its parts', { skip: skipInside }, async (context) => {
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const begun = performance.now();
    const { id } = await create({ name: `round-${round}`, command: ['/bin/sleep', '1000'], stopGraceSeconds: 0, resources: { diskMib: 32 } });
    times.push(Math.round(performance.now() - begun));
    await control.machineDelete(id, wait);
  }
  context.diagnostic(`create to running, ms: ${times.join(' ')}`);
});
