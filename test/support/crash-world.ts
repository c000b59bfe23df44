/** A control plane as a process that can be killed, again and again on the same store, over a simulated agent that goes on. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ControlClient } from '../../src/client/control.ts';
import type { TestDatabase } from './databases.ts';
import { SimulatedAgent } from './simulated-agent.ts';

const program = fileURLToPath(new URL('control-child.ts', import.meta.url));

/** Where this process's control planes have their store. */
export interface World {
  directory: string;
  database: string;
  agent: SimulatedAgent;
  client: ControlClient;
  children: ChildProcess[];
}

export const startChild = async ({ directory, database, children }: World, fatalStep = ''): Promise<ChildProcess> => {
  const child = spawn(process.execPath, [program, directory, database, fatalStep], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => assert.equal(fatalStep !== '', true, 'the control plane ended'))]);
  return child;
};

export const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
};

export const kill = async (child: ChildProcess): Promise<void> => {
  child.kill('SIGKILL');
  await ended(child);
};

export const inWorld = async (kind: TestDatabase, work: (world: World) => Promise<void>): Promise<void> => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'cenote-crash-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const agent = stack.use(new SimulatedAgent(join(directory, 'agent.sock')));
  await agent.start();
  const client = stack.use(new ControlClient(join(directory, 'control.sock')));
  const children: ChildProcess[] = [];
  stack.defer(async () => {
    for (const child of children) await kill(child);
  });
  await kind.with((database) => work({ directory, database, agent, client, children }));
};
