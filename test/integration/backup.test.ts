/** Copies of the store through the API and by the command line: what the host has done since is taken over, and nothing is lost. */
import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Machine } from '../../src/model/control-api.ts';
import { cliFixture } from '../support/cli-fixture.ts';
import { controlFixture, eventually } from '../support/control-fixture.ts';
import { databases } from '../support/databases.ts';

const published = { publish: [{ hostPort: 80, machinePort: 80, protocol: 'tcp' as const }] };

for (const kind of databases) {
  test(`${kind.name}: an old copy is put back while machines run: they are taken over with their generations`, { skip: kind.skip }, () =>
    kind.with(async (database) => {
      await using fixture = await controlFixture({ database });
      const { client, agent } = fixture;
      const kept = (await client.machineCreate({ name: 'kept' }, { wait: 10 })).machine!;
      const gone = (await client.machineCreate({ name: 'reused', ...published }, { wait: 10 })).machine!;
      agent.fault = ({ path }) => (path.endsWith('/stop') ? { kind: 'silence' } : undefined);
      await client.machineStop(gone.id);
      const copy = await buffer(await client.backup());
      agent.fault = () => undefined;
      await client.machineDelete(gone.id);
      await fixture.restart();
      await eventually(
        () => agent.machines.has(gone.id),
        (there) => !there,
      );
      await client.machineStop('kept', {}, { wait: 10 });
      await client.machineRename('kept', 'renamed', { wait: 10 });
      const reused = (await client.machineCreate({ name: 'reused', ...published }, { wait: 10 })).machine!;
      const later = (await client.machineCreate({ name: 'later' }, { wait: 10 })).machine!;

      const { startedAt } = await client.info();
      const restored = await client.restore(Readable.from([copy]));
      assert.equal(restored.dropped, 1, 'the stop that was under way');
      await eventually(
        () => client.info().catch(() => undefined),
        (info) => info !== undefined && info.startedAt !== startedAt && info.agent !== null,
      );
      const list = await client.machineList();
      assert.deepEqual(list.map(({ name }) => name).toSorted(), ['later', 'renamed', 'reused', `reused-${gone.id.slice(0, 8)}`].toSorted());
      assert.deepEqual([(await client.machineGet('renamed')).id, (await client.machineGet('renamed')).state], [kept.id, 'stopped']);
      assert.deepEqual([(await client.machineGet('reused')).id, (await client.machineGet('later')).id], [reused.id, later.id]);
      assert.equal((await client.machineGet(gone.id)).state, 'failed', 'it is not made anew');
      assert.match((await client.machineJobs(gone.id))[0]!.reason!, /not taken up: the store was put back/);
      assert.equal((await client.machineStart('renamed', { wait: 10 })).job.state, 'succeeded');
      assert.equal(agent.machines.get(kept.id)!.status.generation, 4, "the next action continues from the host's generation");
      await client.machineDelete(gone.id, { wait: 10 });
      await client.machineCreate({ name: 'new' }, { wait: 10 });
      const addresses = (await client.machineList()).map(({ address }) => address);
      assert.equal(new Set(addresses).size, addresses.length);
      assert.deepEqual(agent.doubled, []);
    }),
  );
}

test('what is not a copy is refused, and the control plane goes on', async () => {
  await using fixture = await controlFixture();
  const { client } = fixture;
  await client.machineCreate({ name: 'one' }, { wait: 10 });
  const { startedAt } = await client.info();
  await assert.rejects(client.restore(Readable.from([Buffer.from('no copy')])), { code: 'invalid_argument', message: /not compressed with gzip/ });
  await client.machineCreate({ name: 'two' }, { wait: 10 });
  assert.equal((await client.info()).startedAt, startedAt);
});

test('cenote backup', async () => {
  await using cli = await cliFixture();
  await cli.cenote('create', 'one');
  const made = await cli.cenote('backup', 'create', 'copy');
  assert.deepEqual([made.code, made.stdout.startsWith('wrote copy (')], [0, true], made.stderr);
  assert.equal((await stat(join(cli.directory, 'copy'))).mode & 0o777, 0o600);
  const again = await cli.cenote('backup', 'create', 'copy');
  assert.deepEqual([again.code, again.stderr], [5, 'cenote: copy is there already\nchoose another name: a copy is never written over\n']);
  await cli.cenote('create', 'two');
  await cli.cenote('rename', 'one', 'first');
  const unsure = await cli.cenote('backup', 'restore', 'copy');
  assert.deepEqual([unsure.code, /then say: cenote backup restore copy --yes/.test(unsure.stderr)], [2, true]);
  assert.match(unsure.stderr, /machines that this host has and the copy does not know stay, and are taken over/);
  const restored = await cli.cenote('backup', 'restore', 'copy', '--yes');
  assert.deepEqual([restored.code, /^put back the copy of 2\S+ \(\d+ rows\)$/m.test(restored.stdout)], [0, true], restored.stderr);
  assert.match(restored.stderr, /^1 machine that the copy does not know was found on the host and taken over$/m);
  assert.deepEqual(
    (await cli.cenote('ls', '--json')).json<Machine[]>().map(({ name, state }) => `${name} ${state}`),
    ['first running', 'two running'],
  );
  await writeFile(join(cli.directory, 'wrong'), 'x');
  const wrong = await cli.cenote('backup', 'restore', 'wrong', '--yes');
  assert.deepEqual([wrong.code, /this is not a copy of a store/.test(wrong.stderr)], [2, true], wrong.stderr);
  assert.equal((await cli.cenote('backup', 'restore', 'absent', '--yes')).code, 2);
  const piped = await cli.cenote('backup', 'create', '-');
  assert.deepEqual([piped.code, piped.stdout.length > 100], [0, true]);
});
