/** Every route against every kind of caller: root, a member of the administrators' group, anyone else. Needs root, to be others. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { controlFixture } from '../support/control-fixture.ts';

const program = fileURLToPath(new URL('../support/caller-child.ts', import.meta.url));
const adminGid = 54_321;
const stranger = 65_534;

interface Answer {
  route: string;
  status: number;
  code?: string;
}

const callAs = async (uid: number, gid: number, socketPath: string, routes: unknown): Promise<Answer[]> => {
  const child = spawn(process.execPath, [program, socketPath, JSON.stringify(routes)], { uid, gid, stdio: ['ignore', 'pipe', 'inherit'] });
  const output = Array.fromAsync(child.stdout);
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 0);
  return JSON.parse((await output).join('')) as Answer[];
};

test('every route, every caller', { skip: process.getuid?.() !== 0 && 'needs root' }, async () => {
  await using fixture = await controlFixture({ adminGids: [adminGid] });
  await chmod(fixture.directory, 0o755);
  const routes = fixture.control.routes.map(({ method, url }) => ({ method, url }));
  assert.ok(routes.length >= 30, `${routes.length} routes`);
  const { socketPath } = fixture.options;
  const expected = [...routes.map(({ method, url }) => `${method} ${url}`), 'UPGRADE exec'];

  const refused = await callAs(stranger, stranger, socketPath, routes);
  assert.deepEqual(
    refused.map(({ route }) => route),
    expected,
  );
  for (const { route, status, code } of refused) assert.deepEqual([route, status, code], [route, 403, 'forbidden']);
  await assert.doesNotReject(fixture.client.machineList());

  for (const [uid, gid] of [
    [0, 0],
    [stranger, adminGid],
  ] as const) {
    for (const { route, status } of await callAs(uid, gid, socketPath, routes)) {
      assert.ok(status !== 403 && status !== 401 && status < 500, `${route} as ${uid}:${gid} answered ${status}`);
    }
  }
});
