/** New code for a machine: one action, in force or undone as a whole, whoever dies meanwhile. Needs root. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PassThrough } from 'node:stream';
import { pack } from 'tar-stream';
import { start } from '../../src/exec/run.ts';
import { ControlClient } from '../../src/client/control.ts';
import type { Machine } from '../../src/model/control-api.ts';
import type { Job } from '../../src/model/event.ts';
import { parentPaths } from '../../src/host/cgroup/parent.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { eventually } from '../support/control-fixture.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

const pidsTree = '/sys/fs/cgroup/pids';
const skipHeldGroup = existsSync(pidsTree) ? false : 'on cgroup v2 nothing keeps a group from being emptied, but what the kernel holds';

/** A process that the agent cannot end, as one that waits for a broken disk: it is the machine’s in one tree alone. */
const holdGroup = async (instance: string, machine: string): Promise<Disposable> => {
  const parent = parentPaths(instance).find((path) => existsSync(pidsTree + path));
  const group = `${pidsTree}${parent}/${machine}/held`;
  const child = start('sleep', ['1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  mkdirSync(group);
  writeFileSync(`${group}/cgroup.procs`, String(child.pid));
  return { [Symbol.dispose]: () => void child.kill('SIGKILL') };
};

describe('new code', { skip: skipInstance, timeout: 300_000 }, () => {
  let instance: TestInstance;
  let client: ControlClient;
  /** A directory with a program that says its version, and one more file. */
  const codeOf = (version: string, program = 'setInterval(() => {}, 1000)'): string => {
    const directory = join(instance.directory, version);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ main: 'main.js' }));
    writeFileSync(join(directory, 'main.js'), `console.log('this is ${version}'); ${program}`);
    writeFileSync(join(directory, `only-${version}`), '');
    return directory;
  };
  const says = (name: string) => instance.must('exec', name, '--', 'cat', '/app/main.js');
  const web = () => instance.json<Machine>('get', 'web');
  const jobs = () => instance.json<Job[]>('jobs', 'web');
  /** Nothing is left of the way back. */
  const isSettled = async (): Promise<void> => {
    const snapshots = join(instance.root, 'storage/pool/snapshots');
    assert.deepEqual(
      readdirSync(snapshots).flatMap((id) => readdirSync(join(snapshots, id))),
      [],
    );
  };
  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
    client = new ControlClient(instancePaths(instance.root).controlSocket);
    await instance.must('create', 'web', '--image', 'node', '--memory', '64M', '--disk', '64M', '--stop-grace', '1s', '--code', codeOf('one'));
    await instance.must('exec', 'web', '--', 'sh', '-c', 'echo kept > /srv/data');
  });
  after(async () => {
    client?.[Symbol.dispose]();
    await instance?.[Symbol.asyncDispose]();
  });

  test('is in force, and one action in the audit', async () => {
    const former = (await web()).startedAt;
    await instance.must('update', 'web', '--code', codeOf('two'), '--env', 'LEVEL=2');
    assert.match(await says('web'), /this is two/);
    const { startedAt, env, state } = await web();
    assert.deepEqual([env, state, startedAt === former], [{ LEVEL: '2' }, 'running', false]);
    await instance.must('exec', 'web', '--', 'test', '-e', '/app/only-one', '-a', '-e', '/app/only-two');
    assert.deepEqual(
      (await jobs()).map(({ action, state: how }) => `${action} ${how}`),
      ['update succeeded', 'start succeeded', 'create succeeded'],
    );
    await isSettled();
  });

  test('that does not come up is undone as a whole: code, environment and data', async () => {
    const refused = await instance.refused(
      'update',
      'web',
      '--code',
      codeOf('three', "require('fs').writeFileSync('/srv/data', 'spoilt'); process.exit(3)"),
      '--env',
      'LEVEL=3',
    );
    assert.match(refused, /update of web failed: the update was undone: it ended at once: exited with code 3/);
    assert.match(await says('web'), /this is two/);
    assert.equal(await instance.must('exec', 'web', '--', 'sh', '-c', 'cat /srv/data; ls /app'), 'kept\nmain.js\nonly-one\nonly-two\npackage.json\n');
    const { env, state } = await web();
    assert.deepEqual([env, state], [{ LEVEL: '2' }, 'running']);
    const [job] = await jobs();
    assert.deepEqual([job?.action, job?.state], ['update', 'failed']);
    await isSettled();
  });

  test('that does not fit is undone, and so is what is no archive', async () => {
    const large = codeOf('four');
    writeFileSync(join(large, 'large'), Buffer.alloc(80 * 2 ** 20, 'x'));
    assert.match(await instance.refused('update', 'web', '--code', large), /the update was undone: /);
    assert.match(await says('web'), /this is two/);
    const broken = new PassThrough();
    broken.end('this is no archive');
    const { job } = await client.machineUpdateWithCode('web', {}, broken);
    assert.equal(job.state, 'failed');
    assert.match(await says('web'), /this is two/);
    await isSettled();
  });

  test('that can neither be put in force nor undone keeps its way back, which is gone before anything else', { skip: skipHeldGroup }, async () => {
    const { id } = await web();
    using held = await holdGroup(instance.instance, id);
    const refused = await instance.refused('update', 'web', '--code', codeOf('six'), '--env', 'LEVEL=6');
    assert.match(refused, /an update that failed could not be undone yet: processes of machine \S+ did not end within 15 s\ntry again: cenote start web$/);
    assert.match(await instance.must('why', 'web'), /it does not run: an update that failed could not be undone yet/);
    // An agent that starts meanwhile serves the others, and leaves this one as it is.
    await instance.must('down');
    await instance.must('up', '--no-hello', '--yes');
    assert.match(await instance.must('why', 'web'), /it does not run: processes of machine \S+ did not end/);
    held[Symbol.dispose]();
    await instance.must('start', 'web');
    assert.match(await says('web'), /this is two/);
    assert.equal(await instance.must('exec', 'web', '--', 'sh', '-c', 'cat /srv/data; ls /app'), 'kept\nmain.js\nonly-one\nonly-two\npackage.json\n');
    assert.deepEqual((await web()).env, { LEVEL: '2' });
    await isSettled();
  });

  test('is taken in by one that is stopped, which stays so', async () => {
    await instance.must('create', 'still', '--image', 'node', '--memory', '32M', '--disk', '32M', '--code', codeOf('one'));
    await instance.must('stop', 'still');
    await instance.must('update', 'still', '--code', codeOf('two'));
    assert.equal((await instance.json<Machine>('get', 'still')).state, 'stopped');
    await instance.must('start', 'still');
    assert.match(await says('still'), /this is two/);
    await instance.must('delete', 'still');
  });

  test('runs as before while the new is on its way, and when it never comes: the client gone, the agent killed', async () => {
    const archive = pack();
    archive.entry({ name: 'main.js' }, 'this is half');
    const [first] = (await once(archive, 'data')) as [Buffer];
    const half = (): PassThrough => {
      const stream = new PassThrough();
      stream.write(first);
      return stream;
    };
    const pid = async () => (await instance.json<{ pid: number }>('--agent', 'get', 'web')).pid;
    const former = await pid();
    const gone = new AbortController();
    const leaving = client.machineUpdateWithCode('web', {}, half(), { signal: gone.signal });
    leaving.catch(() => undefined);
    await eventually(jobs, ([job]) => job?.action === 'update' && job.state === 'running');
    assert.deepEqual([(await web()).state, await pid()], ['running', former]);
    gone.abort();
    await eventually(jobs, ([job]) => job?.state === 'failed');
    assert.match(await says('web'), /this is two/);

    const waiting = client.machineUpdateWithCode('web', {}, half());
    await eventually(jobs, ([job]) => job?.state === 'running');
    process.kill((JSON.parse(readFileSync(join(instance.root, 'run/agent.pid'), 'utf8')) as { pid: number }).pid, 'SIGKILL');
    const { job } = await waiting;
    assert.match(job.reason!, /the code was lost on its way; send it again/);
    await instance.until('web', ['true']);
    assert.match(await says('web'), /this is two/);
    await isSettled();
    await instance.must('update', 'web', '--code', codeOf('five'));
    assert.match(await says('web'), /this is five/);
  });
});
