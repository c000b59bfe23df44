/** Code for machines on the command line: at their creation, and new code later. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Accepted, Machine } from '../../src/model/control-api.ts';
import type { Job } from '../../src/model/event.ts';
import { cliFixture, failed, succeeded } from '../support/cli-fixture.ts';
import type { CliFixture } from '../support/cli-fixture.ts';
import { eventually } from '../support/control-fixture.ts';

describe('machines with code', () => {
  let cli: CliFixture;
  before(async () => {
    cli = await cliFixture();
  });
  after(() => cli[Symbol.asyncDispose]());
  const idOf = async (name: string): Promise<string> => (await cli.cenote('get', name, '--json')).json<Machine>().id;

  it('get code before their first start, and are gone again when it fails', async () => {
    await mkdir(join(cli.directory, 'app', 'lib'), { recursive: true });
    await writeFile(join(cli.directory, 'app', 'server.js'), 'serve()');
    await writeFile(join(cli.directory, 'app', 'lib', 'part.js'), 'part()');
    const { machine } = succeeded(await cli.cenote('create', 'coded', '--code', 'app', '--json')).json<Accepted>();
    assert.equal(machine?.state, 'running');
    const files = cli.front.files.get(machine.id)!;
    assert.deepEqual([...files.keys()], ['/app/lib', '/app/lib/part.js', '/app/server.js']);
    assert.equal(files.get('/app/server.js')?.content.toString(), 'serve()');
    assert.deepEqual([files.get('/app/server.js')?.header.uid, files.get('/app/server.js')?.header.gid], [0, 0]);
    failed(await cli.cenote('create', 'uncoded', '--code', 'nowhere'), 2, /--code: cannot read nowhere/);
    failed(await cli.cenote('create', 'uncoded', '--code', 'app/server.js'), 2, /--code: .* is not a directory/);
    assert.deepEqual((await cli.cenote('ls', 'uncoded*', '--json')).json(), []);
    const update = succeeded(await cli.cenote('update', 'coded', '--code', 'app', '--env', 'X=1', '--json')).json<Accepted>();
    assert.deepEqual(update.machine?.env, { X: '1' });
    assert.ok(cli.simulated.received.get(`${machine.id}:/app`)! > 1024);
    succeeded(await cli.cenote('update', 'coded', '--code', 'app'));
    const actions = (await cli.cenote('jobs', 'coded', '--json')).json<Job[]>().map(({ action }) => action);
    assert.deepEqual(actions, ['update', 'update', 'start', 'create'], 'each is one action, by its name');
  });

  it('are gone again when their code cannot be copied, also when Ctrl-C is why', async () => {
    cli.front.uploads = 'refuse';
    failed(await cli.cenote('create', 'full', '--code', 'app'), 7, /the disk quota of 16M is used up/);
    assert.equal((await cli.cenote('get', 'full')).code, 4);
    cli.front.uploads = 'wait';
    const copying = cli.start('create', 'slow', '--code', 'app');
    await eventually(
      () => cli.front.waiting,
      (begun) => begun === 1,
    );
    process.kill(copying.pid, 'SIGINT');
    assert.equal(await copying.ended, 130);
    assert.match(copying.errors(), /interrupted while copying app; slow was deleted again/);
    assert.equal((await cli.cenote('get', 'slow')).code, 4);
    cli.front.uploads = 'take';
  });

  it('are as before when an update with code fails', async () => {
    const id = await idOf('coded');
    const before = cli.simulated.machines.get(id)!.status.spec;
    cli.simulated.fault = ({ path }) =>
      path.endsWith('/code') ? { kind: 'refuse', code: 'failed', message: 'the update was undone: it ended at once' } : undefined;
    failed(await cli.cenote('update', 'coded', '--code', 'app', '--env', 'Y=1'), 1, /update of coded failed: the update was undone: it ended at once/);
    cli.simulated.fault = () => undefined;
    const [job] = (await cli.cenote('jobs', 'coded', '--json')).json<Job[]>();
    assert.deepEqual([job?.action, job?.state], ['update', 'failed']);
    assert.deepEqual(cli.simulated.machines.get(id)!.status.spec, before);
  });

  it('stay as they were when Ctrl-C ends an update while its code is copied', async () => {
    let asked = 0;
    const { promise, resolve: goOn } = Promise.withResolvers<void>();
    cli.simulated.fault = ({ path }) => (path.endsWith('/code') && (asked += 1) === 1 ? { kind: 'delay', until: promise } : undefined);
    await writeFile(join(cli.directory, 'app', 'large'), Buffer.alloc(16 * 2 ** 20));
    const copying = cli.start('update', 'coded', '--code', 'app');
    const jobs = async () => (await cli.cenote('jobs', 'coded', '--json')).json<Job[]>();
    await eventually(jobs, ([job]) => job?.action === 'update' && job.state === 'running');
    process.kill(copying.pid, 'SIGINT');
    assert.equal(await copying.ended, 130);
    assert.match(copying.errors(), /interrupted while copying app; coded stays as it was/);
    goOn();
    cli.simulated.fault = () => undefined;
    await eventually(jobs, ([job]) => job?.state === 'succeeded' || job?.state === 'failed');
  });
});
