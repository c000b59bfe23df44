/** The changefeed: by `triton changefeed`, and what becomes of those who misuse it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { cloudApiFixture, makeMachine } from '../support/cloudapi-fixture.ts';
import { eventually } from '../support/control-fixture.ts';
import { tritonWorld } from '../support/triton-world.ts';

interface Change {
  changeKind: { resource: string; subResources: string[] };
  changedResourceId: string;
  resourceState: string;
  resourceObject: { id: string; name: string; state: string };
}

test('triton changefeed', async () => {
  await using here = await tritonWorld('ed25519');
  const { alice, fixture } = here;
  const child = spawn(process.execPath, [...alice.command, 'changefeed', '-j'], { env: alice.env, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const changes: Change[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => changes.push(JSON.parse(line) as Change));
    // It says nothing of being ready: what is made is seen once it is.
    let made = 0;
    await eventually(
      async () => {
        made += 1;
        await alice.must('instance', 'create', '-n', `web${made}`, 'base', 'tiny');
        return changes.length;
      },
      (count) => count > 0,
      60_000,
    );
    const { changedResourceId: id } = changes[0]!;
    await eventually(() => changes.some((one) => one.changedResourceId === id && one.resourceState === 'running'), Boolean);
    await alice.must('instance', 'tag', 'set', '-w', id, 'role=web');
    await eventually(() => changes.some(({ changeKind }) => changeKind.subResources.join() === 'tags'), Boolean);
    fixture.agent.exit(id, 3);
    await eventually(() => changes.some((one) => one.changedResourceId === id && one.resourceState === 'stopped'), Boolean);
    await alice.must('instance', 'delete', '-f', '-w', id);
    const last = await eventually(
      () => changes.findLast((one) => one.changedResourceId === id),
      (one) => one?.resourceState === 'deleted',
    );
    assert.deepEqual([last!.changeKind, last!.resourceObject.state], [{ resource: 'vm', subResources: ['state', 'destroyed'] }, 'deleted']);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
});

const connect = (url: string, headers: Record<string, string>): WebSocket => new WebSocket(`${url.replace('http', 'ws')}/my/changefeed`, { headers });
const registration = { resource: 'vm', subResources: ['alias', 'state', 'tags', 'destroyed'] };

test('only of one’s own, only what was asked for', async () => {
  await using here = await cloudApiFixture();
  const { alice, bob, url } = here;
  const session = connect(url, alice.signed('GET', '/my/changefeed'));
  await once(session, 'open');
  const changes: Change[] = [];
  session.on('message', (data) => changes.push(JSON.parse((data as Buffer).toString()) as Change));
  session.send(JSON.stringify({ ...registration, subResources: ['alias'] }));
  await makeMachine(bob, 'theirs');
  const id = await makeMachine(alice, 'mine');
  await alice.send('POST', `/my/machines/${id}/tags`, { json: { role: 'web' } });
  await alice.send('POST', `/my/machines/${id}?action=rename&name=other`);
  await eventually(
    () => changes.at(-1)?.resourceObject.name,
    (name) => name === 'other',
  );
  assert.deepEqual(
    changes.map(({ changedResourceId, changeKind, resourceObject }) => [changedResourceId, changeKind.subResources, resourceObject.name]),
    [
      [id, ['alias'], 'mine'],
      [id, ['alias'], 'other'],
    ],
  );
  session.close();
});

test('who has no right, or does not speak its language, is let go', async () => {
  await using here = await cloudApiFixture();
  const { alice, url } = here;
  const refused = async (headers: Record<string, string>, at = url) => {
    const session = new WebSocket(`${at.replace('http', 'ws')}/my/changefeed`, { headers });
    session.on('error', () => undefined);
    const [, response] = (await once(session, 'unexpected-response')) as [unknown, { statusCode: number }];
    return response.statusCode;
  };
  assert.equal(await refused({}), 401);
  assert.equal(await refused(alice.signed('GET', '/my/machines')), 401);
  assert.equal(await refused(alice.signed('GET', '/nosuch/my/changefeed'), `${url}/nosuch`), 404);
  for (const text of [
    '{',
    '[]',
    '{"resource":"vm"}',
    '{"resource":"host","subResources":["state"]}',
    '{"resource":"vm","subResources":["nosuch"]}',
    'x'.repeat(100_000),
  ]) {
    const session = connect(url, alice.signed('GET', '/my/changefeed'));
    session.on('error', () => undefined);
    await once(session, 'open');
    session.send(text);
    const [code] = (await once(session, 'close')) as [number];
    assert.ok([1008, 1009].includes(code), `${text.slice(0, 40)}: ${code}`);
  }
  const sessions = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const session = connect(url, alice.signed('GET', '/my/changefeed'));
      await once(session, 'open');
      return session;
    }),
  );
  assert.equal(await refused(alice.signed('GET', '/my/changefeed')), 429);
  for (const session of sessions) session.terminate();
});
