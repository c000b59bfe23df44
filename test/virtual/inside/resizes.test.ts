/**
 * Resizes on cgroup v2: at random under load, and with the agent killed in a shrink. Runs inside the virtual host, on the instance that
 * `cenote up` has made at the default root; skipped elsewhere.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { AgentClient } from '../../../src/client/agent.ts';
import { ControlClient } from '../../../src/client/control.ts';
import { defaultRoot, instancePaths } from '../../../src/model/instance.ts';
import { runResizes } from '../../host/resize-run.ts';
import { runShrinkCrashes } from '../../host/shrink-run.ts';
import { agentBack, agentPid } from './agent-pid.ts';
import { seed, skipInside } from './inside.ts';

const resizes = 120;
const kills = 4;

describe('resizes', { skip: skipInside }, () => {
  const paths = instancePaths(defaultRoot);
  const cenote = { instance: 'default', root: defaultRoot };
  const control = new ControlClient(paths.controlSocket);
  const agent = new AgentClient(paths.agentSocket);
  after(() => {
    control[Symbol.dispose]();
    agent[Symbol.dispose]();
  });

  it('books are the kernel’s own numbers, however busy machines are resized', async (context) => {
    const outcome = await runResizes(cenote, { control, agent }, { seed, resizes, minutes: 20, note: (text) => context.diagnostic(text) });
    context.diagnostic(JSON.stringify(outcome));
    assert.equal(outcome.resizes, resizes);
    assert.ok(outcome.refused > 0, 'some cannot be');
  });

  it('an agent that is killed in a shrink leaves the old size or the new one', async (context) => {
    await runShrinkCrashes(cenote, control, {
      seed,
      rounds: kills,
      agentKiller: async () => {
        const pid = (await agentPid())!;
        return async () => void process.kill(pid, 'SIGKILL');
      },
      agentBack: () => agentBack(control),
      note: (text) => context.diagnostic(text),
    });
  });
});
