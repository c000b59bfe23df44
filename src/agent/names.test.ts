/** The tie to the resolver: nothing that it says ends the agent. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonLine } from '../base/json-lines.ts';
import { createLogger } from '../base/logger.ts';
import { backboneOf } from '../model/backbone.ts';
import { Journal } from './journal.ts';
import { MachineNames } from './names.ts';

test('what the resolver says and cannot be understood is passed over, and a port that machines cannot be led to is tried again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-names-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true }));
  const socketPath = join(directory, 'told.sock');
  const server = createServer().listen(socketPath);
  stack.defer(() => void server.close());
  const said: string[] = [];
  const logger = createLogger({ name: 'test', level: 'warn', destination: { write: (line) => void said.push(line) } });
  const ports: number[] = [];
  const onPort = (port: number): void => {
    ports.push(port);
    if (ports.length < 3) throw new Error('no rules today');
  };
  const journal = stack.use(new Journal(join(directory, 'journal.db')));
  const names = stack.use(new MachineNames({ socketPath, zone: 'test.internal', backbone: backboneOf(0), journal, logger, onPort, leadAgainMs: 10 }));
  names.start();
  const [resolver] = (await once(server, 'connection')) as [Socket];
  resolver.resume().write('{"port": 5\n');
  const status = { port: 5353, own: 0, forwarded: 0, failed: 0, dropped: 0, malformed: 0, strangers: 0 };
  resolver.write(jsonLine(status));
  while (ports.length < 3) await sleep(5);
  assert.deepEqual(ports, [5353, 5353, 5353]);
  assert.deepEqual(names.status.resolver, status);
  await sleep(50);
  assert.equal(ports.length, 3, 'done is done');
  assert.equal(said.length, 2, 'each is said once');
  assert.match(said[0]!, /JSON/);
  assert.match(said[1]!, /no rules today/);
});
