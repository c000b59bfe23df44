/** The agent's process, whoever keeps it running, and whether there is one that answers. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../../src/client/control.ts';
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

export const agentAnswers = async (control: ControlClient): Promise<boolean> => (await control.info()).agent !== null;

const agentBackMs = 120_000;

/** Waits until there is one again. */
export const agentBack = async (control: ControlClient): Promise<void> => {
  for (const deadline = performance.now() + agentBackMs; !(await agentAnswers(control)); await sleep(200))
    assert.ok(performance.now() < deadline, 'no agent came back');
};
