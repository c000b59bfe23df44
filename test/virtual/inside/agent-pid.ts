/** The agent's process, whoever keeps it running. */
import { runAny } from '../../../src/exec/run.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { runsSystemd } from '../../../src/setup/host-view.ts';
import { recallProcess } from '../../../src/sys/process-identity.ts';
import { servicePidPath } from '../../../src/setup/supervisor.ts';

export const agentPid = async (): Promise<number | null> => {
  if (!runsSystemd()) return recallProcess(servicePidPath(instancePaths(defaultRoot), 'agent'))?.pid ?? null;
  const { stdout } = await runAny('systemctl', ['show', '--property=MainPID', '--value', 'cenote-default-agent.service']);
  return Number(stdout) > 0 ? Number(stdout) : null;
};
