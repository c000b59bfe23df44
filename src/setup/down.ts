/** `cenote down`: the services stop; machines go on, unless they are to stop too. */
import { CenoteError } from '../base/errors.ts';
import { ControlClient } from '../client/control.ts';
import { AgentClient } from '../client/agent.ts';
import { releaseUplinks } from '../host/network/uplinks.ts';
import { instancePaths } from '../model/instance.ts';
import type { InstancePaths } from '../model/instance.ts';
import { loadInstanceConfig } from './config.ts';
import type { DownOptions } from './config.ts';
import { eachAtMost } from './each-at-most.ts';
import { serviceManager } from './manager.ts';
import type { Progress } from './progress.ts';

const stopsAtOnce = 8;
const stopWaitSeconds = 120;

export const bringDown = async (options: DownOptions, progress: Progress): Promise<void> => {
  const paths = instancePaths(options.root);
  const config = loadInstanceConfig(options.root);
  if (options.machines === true) await progress.step('machines', () => stopMachines(paths, options.signal));
  const manager = serviceManager(config.instance, config, paths);
  await progress.step('services', async () => {
    await manager.stop({ machines: options.machines === true });
    // Without machines nobody has anything to be guaranteed.
    if (options.machines === true) await releaseUplinks(config.number);
    return { said: `agent and control plane stopped; ${options.machines === true ? 'no machine runs' : 'machines that run go on'}` };
  });
};

/** Through the control plane, so that it knows they are wanted stopped; through the agent when it is away. */
const stopMachines = async (paths: InstancePaths, signal?: AbortSignal): Promise<{ said: string }> => {
  try {
    using control = new ControlClient(paths.controlSocket);
    const running = (await control.machineList({}, { signal })).filter(({ state, desired }) => desired === 'running' || state === 'running');
    await eachAtMost(stopsAtOnce, running, async ({ id, name }) => {
      const { job } = await control.machineStop(id, {}, { wait: stopWaitSeconds, signal });
      if (job.state !== 'succeeded') throw new CenoteError('failed', `machine "${name}" was not stopped: ${job.reason ?? `the job is ${job.state}`}`);
    });
    return { said: `${running.length} stopped` };
  } catch (error) {
    if (!(error instanceof CenoteError && error.code === 'unavailable')) throw error;
  }
  using agent = new AgentClient(paths.agentSocket);
  const running = (await agent.machineList({ signal })).filter(({ state }) => state === 'running');
  await eachAtMost(stopsAtOnce, running, ({ id, generation }) => agent.machineStop(id, { generation: generation + 1 }, { signal }));
  return { said: `${running.length} stopped (by the agent: the control plane is away)` };
};
