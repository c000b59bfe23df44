/** The supervisor with real processes and a real lxcfs; the others are stand-ins that only live. Needs root. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { installed, start } from '../../src/exec/run.ts';
import { instancePaths } from '../../src/model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../../src/model/instance.ts';
import { saveInstanceConfig } from '../../src/setup/config.ts';
import { makeDirectories } from '../../src/setup/directories.ts';
import { readMounts, runsSystemd } from '../../src/setup/host-view.ts';
import { removeGroups } from '../../src/setup/leftovers.ts';
import { identify, isAlive, recallProcess, rememberProcess, signalProcess } from '../../src/sys/process-identity.ts';
import type { ProcessIdentity } from '../../src/sys/process-identity.ts';
import { SupervisedServices } from '../../src/setup/supervised.ts';
import { servicePidPath, supervisorPidPath } from '../../src/setup/supervisor.ts';

const checkout = resolve(import.meta.dirname, '../..');
/** An ordinary user that every Debian has. */
const user = { name: 'daemon', uid: 1, gid: 1 };
const skip =
  process.getuid?.() !== 0
    ? 'needs root'
    : runsSystemd()
      ? 'systemd is in charge here'
      : !(await installed('lxcfs')) || !existsSync('/dev/fuse')
        ? 'needs lxcfs and FUSE'
        : false;

const entries: Readonly<Record<string, string>> = {
  resolver: 'resolver/main.ts',
  'stand-in': 'agent/stand-in.ts',
  agent: 'agent/main.ts',
  control: 'control/main.ts',
};
const nodeServices = Object.keys(entries);

interface Place {
  paths: InstancePaths;
  services: SupervisedServices;
}

const setUp = (context: TestContext): Place => {
  const base = mkdtempSync(`${tmpdir()}/setup-`);
  chmodSync(base, 0o755);
  const codePath = `${base}/checkout`;
  for (const [name, entry] of Object.entries(entries)) {
    mkdirSync(dirname(`${codePath}/src/${entry}`), { recursive: true });
    // Says who it is, then lives until it is told to end.
    writeFileSync(`${codePath}/src/${entry}`, `console.log('${name}', process.getuid?.(), process.umask().toString(8)); setInterval(() => {}, 1000);\n`);
  }
  symlinkSync(`${checkout}/src/setup`, `${codePath}/src/setup`);
  const paths = instancePaths(`${base}/root`);
  makeDirectories(paths, { cenote: user, 'cenote-dns': user });
  const config: InstanceConfig = {
    version: 1,
    instance: 'test',
    number: 0,
    subnet: '10.64.0.0/16',
    uidBlocks: [0x2000_0000],
    storage: { driver: 'directory', device: null, poolSizeMib: 512 },
    user,
    resolverUser: user,
    nodePath: realpathSync(process.execPath),
    codePath,
    checkoutPath: codePath,
  };
  saveInstanceConfig(paths.root, config);
  const services = new SupervisedServices(config, paths);
  context.after(async () => {
    await services.remove();
    await removeGroups(config.instance);
    rmSync(base, { recursive: true, force: true });
  });
  return { paths, services };
};

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (const deadline = Date.now() + 30_000; !holds(); await sleep(20)) if (Date.now() > deadline) assert.fail(`waited too long until ${what}`);
};

const isMounted = (paths: InstancePaths): boolean => readMounts().some(({ path, type }) => path === paths.lxcfs && type.startsWith('fuse'));
const pidOf = (paths: InstancePaths, name: string): ProcessIdentity | null => recallProcess(servicePidPath(paths, name));
const allRun = (paths: InstancePaths): boolean => ['lxcfs', ...nodeServices].every((name) => pidOf(paths, name) !== null) && isMounted(paths);

describe('services without systemd', { skip }, () => {
  it('run, each as its user, and go when they are to', async (context) => {
    const { paths, services } = setUp(context);
    await services.start({ restart: false });
    await until('all run', () => allRun(paths));
    assert.match(readFileSync(join(paths.lxcfs, 'proc/meminfo'), 'utf8'), /^MemTotal:/);
    assert.deepEqual(await services.running(), { lxcfs: true, resolver: true, 'stand-in': true, agent: true, control: true });
    await until('all have said who they are', () =>
      nodeServices.every((name) => existsSync(`${paths.log}/${name}.log`) && readFileSync(`${paths.log}/${name}.log`, 'utf8') !== ''),
    );
    assert.equal(readFileSync(`${paths.log}/agent.log`, 'utf8'), 'agent 0 22\n');
    for (const name of ['resolver', 'control'] as const) assert.deepEqual(await services.lastLines(name, 1), [`${name} 1 77`]);

    const { pid } = recallProcess(supervisorPidPath(paths))!;
    await services.start({ restart: false });
    assert.equal(recallProcess(supervisorPidPath(paths))!.pid, pid, 'a second start starts no second supervisor');

    const agent = pidOf(paths, 'agent')!;
    const needed = ['lxcfs', 'resolver', 'stand-in'].map((name) => pidOf(paths, name)!);
    await services.stop();
    assert.equal(isAlive(agent), false);
    assert.deepEqual(needed.map(isAlive), [true, true, true], 'machines need these, so they stay');
    assert.equal(isMounted(paths), true);
    await services.remove();
    assert.deepEqual(needed.map(isAlive), [false, false, false]);
    assert.equal(isMounted(paths), false);
  });

  it('come back when they are killed, lxcfs with its mount', async (context) => {
    const { paths, services } = setUp(context);
    await services.start({ restart: false });
    await until('all run', () => allRun(paths));
    for (const name of [...nodeServices, 'lxcfs']) {
      const before = pidOf(paths, name)!;
      signalProcess(before, 'SIGKILL');
      await until(`${name} runs again`, () => ![null, before.pid].includes(pidOf(paths, name)?.pid ?? null));
    }
    await until('lxcfs serves again', () => statSync(`${paths.lxcfs}/proc/meminfo`, { throwIfNoEntry: false }) !== undefined && isMounted(paths));
  });

  it('are known by their new process, however soon it comes after the old', async (context) => {
    const { paths, services } = setUp(context);
    mkdirSync(paths.run, { recursive: true });
    const [before, after] = [0, 1].map(() => start('sleep', ['1000'], { stdio: 'ignore' }));
    context.after(() => [before, after].forEach((one) => one!.kill('SIGKILL')));
    const path = servicePidPath(paths, 'stand-in');
    rememberProcess(path, identify(before!.pid!)!);
    const renewed = services.renewStandIn();
    // As a supervisor does that sees the end first.
    rememberProcess(path, identify(after!.pid!)!);
    await renewed;
    assert.equal(pidOf(paths, 'stand-in')?.pid, after!.pid);
    await services.remove();
    assert.equal(pidOf(paths, 'stand-in'), null);
  });

  it('outlive their supervisor, and are adopted by the next', async (context) => {
    const { paths, services } = setUp(context);
    await services.start({ restart: false });
    await until('all run', () => allRun(paths));
    const before = ['lxcfs', ...nodeServices].map((name) => pidOf(paths, name)!);
    const supervisor = recallProcess(supervisorPidPath(paths))!;
    signalProcess(supervisor, 'SIGKILL');
    await until('the supervisor is gone', () => !isAlive(supervisor));
    await services.start({ restart: false });
    assert.notEqual(recallProcess(supervisorPidPath(paths))!.pid, supervisor.pid);
    await until('it has adopted them', () => (readFileSync(`${paths.log}/supervisor.log`, 'utf8').match(/"adopted"/g) ?? []).length === 5);
    assert.ok(before.every(isAlive));

    await services.start({ restart: true });
    await services.renewStandIn();
    await until('the others are new', () => nodeServices.every((name, index) => ![null, before[index + 1]!.pid].includes(pidOf(paths, name)?.pid ?? null)));
    assert.equal(isAlive(before[0]!), true, 'a restart leaves lxcfs alone');
  });
});
