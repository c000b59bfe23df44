/** The control plane's store moves to PostgreSQL and back while machines run. Needs root, and PostgreSQL. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { ControlInfo, Machine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { sharedPostgres } from '../support/databases.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import { postgresSkip } from '../support/postgres.ts';

it('the store is moved to PostgreSQL and back, and machines are taken over each time', { skip: skipInstance || postgresSkip() }, async () => {
  const server = await sharedPostgres();
  const url = (await server.create()).replace('user=cenote', 'user=ann&password=hidden-word');
  await server.query('postgres', 'create role ann login superuser');
  await using cenote = await startInstance({ poolSizeMib: 1024 });
  const paths = instancePaths(cenote.root);
  await cenote.must('create', 'web', '--memory', '32M', '--disk', '64M', '--tag', 'a=b', '--', 'sleep', '1000');
  const before = await cenote.json<Machine>('get', 'web');

  const said = await cenote.refused('up', '--no-hello', '--database', 'postgres:///nothing?host=/nonexistent');
  assert.match(said, /the database cannot be used: .*its database is away.*ENOENT/);
  assert.match((await cenote.json<ControlInfo>('info')).store!, /store\.sqlite$/, 'nothing was changed');

  const file = join(cenote.directory, 'url');
  writeFileSync(file, `${url}\n`, { mode: 0o600 });
  await cenote.must('up', '--no-hello', '--database', `@${file}`);
  const info = await cenote.json<ControlInfo>('info');
  assert.match(info.store!, /^postgres:\/\/ann@\/tmp\/[^/]+\/test_\d+$/);
  const kept = statSync(paths.database);
  assert.deepEqual([kept.mode & 0o777, kept.uid !== 0], [0o400, true], 'for the control plane only');
  assert.match(readFileSync(paths.database, 'utf8'), /hidden-word/);
  const after = await cenote.json<Machine>('get', 'web');
  assert.deepEqual([after.id, after.state, after.tags, after.generation], [before.id, 'running', before.tags, before.generation]);
  await cenote.must('stop', 'web');
  await cenote.must('up', '--no-hello');
  assert.equal((await cenote.json<ControlInfo>('info')).store, info.store, 'it stays where it is until something else is said');

  await cenote.must('up', '--no-hello', '--database', 'sqlite');
  assert.match((await cenote.json<ControlInfo>('info')).store!, /store\.sqlite$/);
  assert.equal((await cenote.json<Machine>('get', 'web')).state, 'stopped');
  await cenote.must('start', 'web');
});
