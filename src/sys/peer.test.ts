import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { peerOf, UserNames } from './peer.ts';

const temporary = async (stack: AsyncDisposableStack): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-peer-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  return directory;
};

test('the kernel says who is at the other end', async () => {
  await using stack = new AsyncDisposableStack();
  const path = join(await temporary(stack), 'socket');
  const server = createServer();
  server.listen(path);
  stack.defer(() => void server.close());
  const client = connect(path);
  stack.defer(() => void client.destroy());
  const [socket] = (await once(server, 'connection')) as [Socket];
  const { uid, pid, gids } = peerOf(socket);
  assert.equal(uid, process.getuid!());
  assert.equal(pid, process.pid);
  assert.deepEqual(new Set(gids), new Set([process.getgid!(), ...process.getgroups!()]));
  socket.destroy();
  await once(socket, 'close');
  assert.throws(() => peerOf(socket), { code: 'unauthorized' });
});

test('names of users and groups, as the files are now', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await temporary(stack);
  const [passwd, group] = [join(directory, 'passwd'), join(directory, 'group')];
  const names = new UserNames(passwd, group);
  assert.equal(names.userName(0), undefined);
  assert.equal(names.groupId('cenote'), undefined);
  await writeFile(passwd, 'root:x:0:0::/root:/bin/sh\n# nonsense\nada:x:1000:1000::/:/bin/sh\nbad:x:y:z\nsecond:x:1000:1000::/:/bin/sh\n');
  await writeFile(group, 'root:x:0:\ncenote:x:998:ada,bob\nbroken\nother:x:999:bob\n');
  assert.equal(names.userName(0), 'root');
  assert.equal(names.userName(1000), 'ada');
  assert.equal(names.userName(7), undefined);
  assert.equal(names.groupId('cenote'), 998);
  assert.deepEqual(names.groupsOfUser('ada'), [998]);
  assert.deepEqual(names.groupsOfUser('bob'), [998, 999]);
  await writeFile(group, 'cenote:x:998:\n');
  assert.deepEqual(names.groupsOfUser('ada'), []);
});
