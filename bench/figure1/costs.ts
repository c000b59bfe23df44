/** What a tenant's machine takes that does nothing, and how soon a new one answers. */
import { AgentClient } from '../../src/client/agent.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { parentOf, pssMib } from '../lib/processes.ts';
import type { MachineCost } from './data.ts';
import { targetOf, untilAnswers } from './tenants.ts';
import type { Cut, Tenants } from './tenants.ts';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export const idleCost = async ({ client, host }: Tenants, machines: readonly Machine[]): Promise<Pick<MachineCost, 'appMib' | 'monitorMib' | 'diskMib'>> => {
  using agent = new AgentClient(instancePaths(host.root).agentSocket);
  const pids = (await agent.machineList()).flatMap(({ pid }) => (pid === null ? [] : [pid]));
  const disks = await Promise.all(machines.map(async ({ id }) => (await client.machineUsage(id)).diskMib));
  return { appMib: mean(pids.map(pssMib)), monitorMib: mean(pids.map((pid) => pssMib(parentOf(pid)))), diskMib: mean(disks) };
};

export const firstAnswers = async (tenants: Tenants, cut: Cut, count: number): Promise<number[]> => {
  const taken: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const begun = performance.now();
    const machine = await tenants.create(`first-${cut}-${index}`, cut);
    await untilAnswers(targetOf(machine), 2);
    taken.push(performance.now() - begun);
    await tenants.remove([machine]);
  }
  return taken;
};
