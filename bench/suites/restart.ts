/** The agent killed while machines run: how long until it serves again, and whether any machine noticed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Machine } from '../../src/model/control-api.ts';
import type { BenchInstance } from '../lib/instance.ts';
import { servicePid } from '../lib/processes.ts';
import { answering } from '../lib/web.ts';

export interface RestartFigures {
  /** From the kill until the agent answers. */
  servingMs: number;
  /** Of it, from when the new process is there. */
  processMs: number;
  /** Until the control plane has compared everything. */
  inStepMs: number;
  disturbed: number;
}

const pollMs = 5;
const timeoutMs = 60_000;

export const restartAgent = async (instance: BenchInstance, machines: readonly Machine[]): Promise<RestartFigures> => {
  const { agent, client, agentPidFile } = instance;
  const before = new Map((await agent.machineList()).map(({ id, pid }) => [id, pid]));
  const former = servicePid(agentPidFile);
  const start = performance.now();
  process.kill(former, 'SIGKILL');
  await until('the supervisor to start an agent', async () => servicePid(agentPidFile) !== former);
  const there = performance.now();
  await until('the agent to answer', async () => (await agent.info()).machines.total >= 0);
  const serving = performance.now();
  await until('the control plane to be in step', async () => (await client.info()).agent !== null);
  const inStep = performance.now();
  const after = new Map((await agent.machineList()).map(({ id, pid }) => [id, pid]));
  const moved = [...before].filter(([id, pid]) => after.get(id) !== pid).length;
  const { count } = await answering(machines);
  return { servingMs: serving - start, processMs: serving - there, inStepMs: inStep - start, disturbed: Math.max(moved, machines.length - count) };
};

const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  for (const deadline = Date.now() + timeoutMs; ; await sleep(pollMs)) {
    try {
      if (await holds()) return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
  }
};
