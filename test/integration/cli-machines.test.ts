/** The command line's actions on machines, through the launcher and the control plane. */
import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Accepted, Machine } from '../../src/model/control-api.ts';
import type { Job } from '../../src/model/event.ts';
import { formatCpu, formatMib } from '../../src/base/units.ts';
import { defaultResources } from '../../src/model/default-resources.ts';
import { cliFixture, failed, launcher, succeeded } from '../support/cli-fixture.ts';
import type { CliFixture, CliResult } from '../support/cli-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { runAny } from '../../src/exec/run.ts';

describe('machines on the command line', () => {
  let cli: CliFixture;
  before(async () => {
    cli = await cliFixture();
  });
  after(() => cli[Symbol.asyncDispose]());

  const idOf = async (name: string): Promise<string> => (await cli.cenote('get', name, '--json')).json<Machine>().id;

  it('are none at first, and that is said', async () => {
    const result = succeeded(await cli.cenote('ls'));
    assert.equal(result.stdout, '');
    assert.match(result.stderr, /no machines yet/);
    assert.deepEqual((await cli.cenote('ls', '--json')).json(), []);
  });

  it('are created with all they were asked for', async () => {
    await writeFile(join(cli.directory, 'env'), '# comment\nFROM_FILE=1\nBOTH=file\n');
    const words = ['--cpu', '0.5', '--cpu-ceiling', '2', '--memory', '256M', '--disk=1G', '--processes', '64', '--env', 'BOTH=flag', '--env-file', 'env'];
    const more = ['-p', '8080:80', '-p', '5353:53/udp', '--tag', 'role=web', '--restart', 'on-failure:3', '--stop-grace', '1m', '--platform', 'web@9'];
    const { machine, job } = succeeded(await cli.cenote('create', 'web', ...words, ...more, '--json', '--', 'server', '--port', '80')).json<Accepted>();
    assert.equal(job.state, 'succeeded');
    assert(machine);
    assert.equal(machine.state, 'running');
    assert.deepEqual(machine.resources, { ...defaultResources, cpuMillis: 500, cpuCeilingMillis: 2000, memoryMib: 256, processes: 64 });
    assert.deepEqual(machine.env, { FROM_FILE: '1', BOTH: 'flag' });
    assert.deepEqual(machine.publish, [
      { hostPort: 8080, machinePort: 80, protocol: 'tcp' },
      { hostPort: 5353, machinePort: 53, protocol: 'udp' },
    ]);
    assert.deepEqual([machine.tags, machine.restart, machine.stopGraceSeconds], [{ role: 'web' }, { policy: 'on-failure', maxRetries: 3 }, 60]);
    assert.deepEqual([machine.command, machine.platform], [['server', '--port', '80'], { name: 'web', version: '9' }]);
    const line = succeeded(await cli.cenote('create', 'idle', '--no-start'));
    assert.match(line.stdout, /^created idle \([0-9a-f]{8}\) in \d+ ms: 10\.77\./);
    assert.equal((await cli.cenote('get', 'idle', '--json')).json<Machine>().state, 'stopped');
  });

  it('are listed, chosen and shown in columns', async () => {
    const table = succeeded(await cli.cenote('ls')).stdout.split('\n');
    assert.match(table[0]!, /^NAME +ID +STATE +IMAGE +CPU +MEMORY +DISK +ADDRESS +PORTS +AGE$/);
    assert.equal(table.length, 4);
    assert.equal(succeeded(await cli.cenote('ls', '-H', '-o', 'name,state,ports', '--state', 'running')).stdout, 'web  running  8080:80,5353:53/udp\n');
    assert.equal(succeeded(await cli.cenote('ls', '-Ho', 'name', '--tag', 'role=web')).stdout, 'web\n');
    assert.equal(
      succeeded(await cli.cenote('ls', 'i*', '-H', '-o', 'name,cpu,memory')).stdout,
      `idle  ${formatCpu(defaultResources.cpuMillis)}  ${formatMib(defaultResources.memoryMib)}\n`,
    );
    assert.deepEqual((await cli.cenote('ls', 'nothing-*', '--json')).json(), []);
    assert.deepEqual(
      (await cli.cenote('ls', '--json'))
        .json<Machine[]>()
        .map(({ name }) => name)
        .toSorted(),
      ['idle', 'web'],
    );
    failed(await cli.cenote('ls', '-o', 'nmae'), 2, /no column "nmae"\ndid you mean name\?/);
    failed(await cli.cenote('ls', 'wbe'), 4, /no machine "wbe"\ndid you mean web\?/);
  });

  it('are shown whole, by name, id and the beginning of the id', async () => {
    const id = await idOf('web');
    for (const word of ['web', id, id.slice(0, 8), id.slice(0, 4)])
      assert.match(succeeded(await cli.cenote('get', word)).stdout, new RegExp(`^Name: +web\nId: +${id}\nState: +running\n`));
    assert.match((await cli.cenote('get', 'web')).stdout, /CPU: +0\.5\.\.2 cores\nMemory: +256M\nDisk: +1G/);
    assert.equal((await cli.cenote('get', '*', '--json')).json<Machine[]>().length, 2);
    failed(await cli.cenote('get', 'none'), 4, /no machine "none"/);
  });

  it('are not listed when none is like what was asked for, and that is said', async () => {
    for (const words of [['--tag', 'role=none'], ['--image', 'none'], ['nothing-*'], ['--state', 'deleting']]) {
      const { stdout, stderr, code } = await cli.cenote('ls', ...words);
      assert.deepEqual([stdout, stderr, code], ['', 'no machine is like that; see all: cenote ls\n', 0]);
    }
  });

  it('are refused in the words of flags, with what is allowed', async () => {
    const create = (...words: string[]): Promise<CliResult> => cli.cenote('create', 'wrong', ...words);
    failed(await create('--memory', '1M'), 2, /^cenote: --memory: "1M" is out of range \(4M to 1024T\)\n$/);
    failed(await create('--memory-ceiling', '3M'), 2, /--memory-ceiling: "3M" is out of range \(4M to/);
    failed(await create('--cpu-ceiling', '0.001'), 2, /--cpu-ceiling: "0\.001" is out of range \(0\.01 to 10000 cores\)/);
    failed(await create('--disk', '15M'), 2, /--disk: "15M" is out of range \(16M to/);
    failed(
      await create('--cpu', '1', '--cpu-ceiling', '0.5'),
      2,
      /^cenote: --cpu-ceiling: the ceiling of 0\.5 cores is below the guarantee of 1\ngive a higher ceiling too, or none\n$/,
    );
    failed(await create('--image', 'nowhere'), 2, /^cenote: --image: there is no image "nowhere"\nsee what there is: cenote image ls\n$/);
    failed(await create('--platform', 'nowhere'), 2, /^cenote: --platform: there is no platform "nowhere"\nsee what there is: cenote platform ls\n$/);
    failed(await create('--package', 'nowhere'), 2, /^cenote: --package: /);
    failed(await create('-p', '9001:80', '-p', '9001:81'), 2, /^cenote: --publish: /);
    failed(await cli.cenote('create', 'a b'), 2, /"a b" is not a valid machine name\nit has letters and digits/);
    failed(await cli.cenote('stop', 'web', '--grace', '2h'), 2, /--grace: "2h" is too long/);
    assert.match((await cli.cenote('update', '--help')).stdout, /--image IMAGE +name or id of another image\n/);
    assert.match((await cli.cenote('cp', '--help')).stdout, /^Usage: cenote cp SRC… DST$/m);
  });

  it('are stopped, started and rebooted, many only with --yes', async () => {
    assert.match(succeeded(await cli.cenote('stop', 'web', '--grace', '5s')).stdout, /^stopped web in \d+ ms\n$/);
    assert.equal(succeeded(await cli.cenote('start', 'web', '--json')).json<Accepted>().machine?.state, 'running');
    failed(await cli.cenote('start', 'web', 'idle'), 2, /would start 2 machines: web, idle\n.*--yes/);
    failed(await cli.cenote('reboot', '*'), 2, /would reboot 2 machines/);
    assert.equal(succeeded(await cli.cenote('start', 'web', 'idle', '--yes')).stdout.split('\n').length, 3);
    assert.equal(succeeded(await cli.cenote('reboot', '*', '-y', '--json')).json<Accepted[]>().length, 2);
    assert.match(succeeded(await cli.cenote('stop', 'idle', '--no-wait')).stdout, /^stopping idle: job [0-9a-f-]{36}\n$/);
    succeeded(await cli.cenote('wait', 'idle', '--state', 'stopped', '--timeout', '30s'));
  });

  it('are renamed and resized', async () => {
    succeeded(await cli.cenote('rename', 'idle', 'lazy'));
    failed(await cli.cenote('rename', 'lazy', 'web'), 5, /web/);
    failed(await cli.cenote('rename', 'lazy', '-bad-'), 2, /unknown flag|NEW-NAME/);
    assert.match(
      succeeded(await cli.cenote('resize', 'web', '--memory', '512M', '--cpu-ceiling', 'none')).stdout,
      /^resized web in \d+ ms: 0\.5 CPU, 512M memory, 1G disk, 64 processes\n$/,
    );
    failed(await cli.cenote('resize', 'web'), 2, /nothing to change/);
    assert.match((await cli.cenote('rename', 'web', 'www')).stderr, /^inside, its host name is another from its next start on$/m);
    succeeded(await cli.cenote('rename', 'www', 'web'));
    failed(await cli.cenote('resize', 'web', '--memory', '5000T'), 2, /--memory: "5000T" is out of range/);
    failed(await cli.cenote('resize', 'web', '--memory', '900T'), 7, /./);
  });

  it('are updated; single variables and tags stay', async () => {
    const { machine } = succeeded(
      await cli.cenote('update', 'web', '--env', 'NEW=1', '--env-remove', 'BOTH', '--tag', 'tier=1', '--unpublish', '--json', '--', 'other'),
    ).json<Accepted>();
    assert.deepEqual(
      [machine?.env, machine?.tags, machine?.publish, machine?.command],
      [{ FROM_FILE: '1', NEW: '1' }, { role: 'web', tier: '1' }, [], ['other']],
    );
    assert.equal(succeeded(await cli.cenote('update', 'web', '--image-command', '--json')).json<Accepted>().machine?.command, null);
    failed(await cli.cenote('update', 'web'), 2, /nothing to change/);
    const none = succeeded(await cli.cenote('update', 'web', '--env-remove', 'NOPE', '--tag-remove', 'nope', '--stop-grace', '30s'));
    assert.equal(none.stderr, 'web has no variable NOPE to remove\nweb has no tag nope to remove\n');
    failed(await cli.cenote('update', 'web', '--image', 'nowhere'), 2, /no image "nowhere"/);
  });

  it('tell what was done to them', async () => {
    const jobs = succeeded(await cli.cenote('jobs', 'web', '--json')).json<Job[]>();
    assert.equal(jobs[0]?.action, 'update');
    assert.equal(jobs.at(-1)?.action, 'create');
    assert.match(succeeded(await cli.cenote('jobs', 'web')).stdout, /^ACTION +STATE +ACTOR +AGE +MS +REASON\nupdate +succeeded +uid:\d+/);
  });

  it('fail with the reason and the status of the job', async () => {
    cli.simulated.fault = ({ method, path }) =>
      method === 'POST' && path.endsWith('/stop') ? { kind: 'refuse', code: 'unsupported', message: 'this one cannot be stopped' } : undefined;
    failed(await cli.cenote('stop', 'web'), 8, /stop of web was refused: this one cannot be stopped/);
    cli.simulated.fault = () => undefined;
  });

  it('wait with a limit', async () => {
    assert.match(succeeded(await cli.cenote('wait', 'web')).stdout, /^web is running\n/);
    failed(await cli.cenote('wait', 'web', '--state', 'stopped', '--timeout', '0'), 75, /web is still running.*\nsee why: cenote why web\n/);
    failed(await cli.cenote('wait', 'web', '--healthy'), 6, /web has no health check/);
    failed(await cli.cenote('wait', 'web', '--healthy', '--state', 'running'), 2, /--healthy: is in the place of --state/);
    failed(await cli.cenote('wait', 'web', '--state', 'stoped'), 2, /"stoped" is not a state/);
  });

  it('show their output, once and as it comes', async () => {
    const id = await idOf('web');
    cli.front.say(id, 'first');
    cli.front.say(id, 'wrong', 'stderr');
    const once = succeeded(await cli.cenote('logs', 'web'));
    assert.deepEqual([once.stdout, once.stderr], ['first\n', 'wrong\n']);
    assert.match((await cli.cenote('logs', 'web', '--tail', '1', '-t')).stderr, /^\d{4}-\d\d-\d\dT[\d:.]+Z wrong\n$/);
    assert.equal(JSON.parse((await cli.cenote('logs', 'web', '--tail', '1', '--json')).stdout).text, 'wrong');
    const following = cli.start('logs', '-f', 'web');
    await eventually(following.output, (text) => text === 'first\n');
    cli.front.say(id, 'second');
    await eventually(following.output, (text) => text === 'first\nsecond\n');
    process.kill(following.pid, 'SIGINT');
    assert.equal(await following.ended, 130);
  });

  it('show their output on after the agent or the control plane was away, and nothing twice', async () => {
    const id = await idOf('web');
    const following = cli.start('logs', '-f', '--tail', '1', 'web');
    await eventually(following.output, (text) => text === 'second\n');
    cli.front.say(id, 'twice');
    cli.front.logs.get(id)!.push(cli.front.logs.get(id)!.at(-1)!);
    await eventually(following.output, (text) => text === 'second\ntwice\n');
    await cli.front.away(() => cli.front.say(id, 'said meanwhile'));
    await eventually(following.output, (text) => text === 'second\ntwice\ntwice\nsaid meanwhile\n');
    await cli.stopControl();
    cli.front.say(id, 'and then');
    await cli.startControl();
    await eventually(following.output, (text) => text.endsWith('said meanwhile\nand then\n'));
    assert.equal(following.errors(), '');
    process.kill(following.pid, 'SIGINT');
    assert.equal(await following.ended, 130);
  });

  it('run to their end and give back the exit code', async () => {
    const running = cli.start('run', 'job', '--rm', '--', 'work');
    const id = await eventually(
      () => [...cli.simulated.machines.values()].find(({ status }) => status.spec.name === 'job')?.status.id,
      (found) => found !== undefined,
    );
    cli.front.say(id!, 'working');
    await eventually(running.output, (text) => text === 'working\n');
    cli.front.say(id!, 'last words', 'stderr');
    cli.simulated.exit(id!, 7);
    assert.equal(await running.ended, 7, running.errors());
    assert.deepEqual([running.output(), running.errors()], ['working\n', 'last words\n']);
    assert.equal((await cli.cenote('get', 'job')).code, 4);
  });

  it('without a name are told by theirs after a run, since they stay', async () => {
    const running = cli.start('run', '--', 'work');
    const [id] = await eventually(
      () => [...cli.simulated.machines.values()].filter(({ status }) => status.spec.name.startsWith('machine-')).map(({ status }) => status.id),
      (found) => found.length > 0,
    );
    cli.simulated.exit(id!, 3);
    assert.equal(await running.ended, 3, running.errors());
    assert.match(running.errors(), /^machine-\w+ stays; see it with: cenote get machine-\w+ \(--rm would have deleted it\)\n$/);
    succeeded(await cli.cenote('delete', id!));
  });

  it('leave nothing of a run with --rm whose start fails', async () => {
    cli.simulated.fault = ({ method, path }) =>
      method === 'PUT' && path.startsWith('/v1/machines/') ? { kind: 'refuse', code: 'failed', message: 'no such program' } : undefined;
    failed(await cli.cenote('run', '--rm', '--', 'nothing'), 1, /create of machine-\w+ failed: no such program/);
    cli.simulated.fault = () => undefined;
    assert.deepEqual((await cli.cenote('ls', 'machine-*', '--json')).json(), []);
  });

  it('are stopped when Ctrl-C ends their run', async () => {
    const running = cli.start('run', 'endless');
    const found = await eventually(
      () => [...cli.simulated.machines.values()].find(({ status }) => status.spec.name === 'endless'),
      (held) => held !== undefined,
    );
    cli.front.say(found!.status.id, 'here');
    await eventually(running.output, (text) => text === 'here\n');
    process.kill(running.pid, 'SIGINT');
    assert.equal(await running.ended, 130);
    assert.equal(found!.status.state, 'stopped');
  });

  it('go on with what was asked when Ctrl-C ends the waiting', async () => {
    const { promise, resolve: goOn } = Promise.withResolvers<void>();
    cli.simulated.fault = ({ path }) => (path.endsWith('/restart') ? { kind: 'delay', until: promise } : undefined);
    const before = cli.simulated.calls.length;
    const waiting = cli.start('reboot', 'web');
    await eventually(
      () => cli.simulated.calls.slice(before).some(({ path }) => path.endsWith('/restart')),
      (seen) => seen,
    );
    process.kill(waiting.pid, 'SIGINT');
    assert.equal(await waiting.ended, 130);
    assert.match(waiting.errors(), /rebooting web goes on\n.*cenote jobs web/);
    goOn();
    cli.simulated.fault = () => undefined;
    const done = await eventually(
      async () => (await cli.cenote('jobs', 'web', '--json')).json<Job[]>()[0]!,
      (job) => job.state !== 'running' && job.state !== 'queued',
    );
    assert.deepEqual([done.action, done.state], ['reboot', 'succeeded']);
  });

  it('take files in and give them out', async () => {
    await mkdir(join(cli.directory, 'site'));
    await writeFile(join(cli.directory, 'site', 'index.html'), '<p>');
    await symlink('index.html', join(cli.directory, 'site', 'link'));
    const id = await idOf('web');
    const names = () => [...cli.front.files.get(id)!.keys()].toSorted();
    succeeded(await cli.cenote('cp', 'site', 'web:/srv/www'));
    assert.deepEqual(names(), ['/srv/www', '/srv/www/index.html', '/srv/www/link'], 'a new name');
    succeeded(await cli.cenote('cp', 'site/index.html', 'web:/srv/www'));
    succeeded(await cli.cenote('cp', 'site', 'env', 'web:/new/'));
    succeeded(await cli.cenote('cp', 'site/.', 'web:/flat'));
    succeeded(await cli.cenote('cp', 'env', 'web:/etc/other'));
    assert.deepEqual(names().slice(0, 8), [
      '/etc/other',
      '/flat/index.html',
      '/flat/link',
      '/new/env',
      '/new/site',
      '/new/site/index.html',
      '/new/site/link',
      '/srv/www',
    ]);
    succeeded(await cli.cenote('cp', 'web:/srv/www', 'copy'));
    assert.equal(await readFile(join(cli.directory, 'copy', 'link'), 'utf8'), '<p>');
    const streamed = await runAny('/bin/sh', ['-c', '"$0" --root "$1" cp web:/etc/other - | tar -xO', launcher, cli.root], {
      env: { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath },
    });
    assert.deepEqual([streamed.code, streamed.stdout], [0, await readFile(join(cli.directory, 'env'), 'utf8')], streamed.stderr);
    failed(await cli.cenote('cp', '-', 'web:/srv'), 2, /SRC: standard input is not read\n.*exec -i NAME -- tar -x/);
    succeeded(await cli.cenote('cp', 'web:/etc/other', '.'));
    assert.match(await readFile(join(cli.directory, 'other'), 'utf8'), /FROM_FILE/);
    succeeded(await cli.cenote('cp', 'web:/srv/www/', '.'));
    succeeded(await cli.cenote('cp', 'web:/srv/www/.', 'contents'));
    for (const name of ['www', 'contents']) assert.equal(await readFile(join(cli.directory, name, 'index.html'), 'utf8'), '<p>');
    failed(await cli.cenote('cp', 'web:/nowhere', '.'), 4, /nowhere/);
    failed(await cli.cenote('cp', 'nowhere', 'web:/'), 4, /cannot read nowhere: it is not there/);
    failed(await cli.cenote('cp', 'web:etc', '.'), 2, /begins with \/\nwrite web:\/etc/);
    failed(await cli.cenote('cp', 'site', 'env', 'web:/srv/file'), 2, /is not a directory/);
    failed(await cli.cenote('cp', 'a', 'b'), 2, /neither SRC nor DST/);
  });

  it('use what top says', async () => {
    const rows = succeeded(await cli.cenote('top', '--once'));
    assert.match(rows.stdout, /^NAME +CPU +GUARANTEE +MEMORY/);
    assert.match(rows.stdout, /^web /m);
    assert((await cli.cenote('top', '--once', '--json')).json<{ name: string }[]>().some(({ name }) => name === 'web'));
  });

  it('are reached without the control plane', async () => {
    assert.match(succeeded(await cli.cenote('--agent', 'ls', '-Ho', 'name')).stdout, /^web$/m);
    assert.equal((await cli.cenote('--agent', 'get', 'web', '--json')).json<{ spec: { name: string } }>().spec.name, 'web');
    assert.match(succeeded(await cli.cenote('--agent', 'stop', 'web')).stdout, /stopped web/);
    failed(await cli.cenote('--agent', 'start', 'web'), 2, /--agent: start goes through the control plane/);
  });

  it('are deleted, many only with --yes', async () => {
    failed(await cli.cenote('delete', '*'), 2, /would delete \d+ machines/);
    const id = await idOf('lazy');
    assert.match(succeeded(await cli.cenote('delete', 'lazy')).stdout, /^deleted lazy in \d+ ms/);
    assert.equal(succeeded(await cli.cenote('jobs', id, '--json')).json<Job[]>()[0]?.action, 'delete', 'what was done outlives it');
    failed(await cli.cenote('delete', 'lazy'), 4, /no machine "lazy"/);
    succeeded(await cli.cenote('delete', '*', '--yes'));
    assert.deepEqual((await cli.cenote('ls', '--json')).json(), []);
  });

  it('are not reached when nothing answers, and that is said', async () => {
    await cli.stopControl();
    failed(await cli.cenote('ls'), 69, new RegExp(`the control plane does not answer.*\\nstart it with: sudo cenote --root ${cli.root} up\\n`));
    const { stderr, code } = await runAny(launcher, ['ls'], {
      env: { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath, CENOTE_ROOT: `${cli.root}/nowhere` },
    });
    assert.equal(code, 69);
    assert.match(stderr, /nowhere\/run\/control\.sock/);
  });
});
