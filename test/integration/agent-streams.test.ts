/** Streams of the agent: each ends with its client, and leaves nothing on the connection that the next one uses. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { agentFixture } from '../support/agent-fixture.ts';
import type { AgentFixture } from '../support/agent-fixture.ts';
import { eventually } from '../support/control-fixture.ts';

const runningMachine = async (agent: AgentFixture): Promise<string> => {
  const spec = agent.spec();
  await agent.client.machineCreate(spec.id, { generation: 1, spec, desired: 'running' });
  return spec.id;
};

test('requests on a kept connection leave no listener behind', async (context) => {
  await using agent = await agentFixture();
  const id = await runningMachine(agent);
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  context.after(() => process.off('warning', onWarning));
  for (let request = 0; request < 20; request += 1) {
    await Array.fromAsync(await agent.client.http.stream('GET', `/v1/machines/${id}/logs`));
    await Array.fromAsync(await agent.client.http.stream('POST', '/v1/platforms', { json: { name: 'fake', include: [] } }));
  }
  await turn();
  assert.deepEqual(
    warnings.map(({ message }) => message),
    [],
  );
});

test('who goes while following is followed no further', async () => {
  await using agent = await agentFixture();
  const id = await runningMachine(agent);
  const ended: string[] = [];
  const logs = async function* (_machine: string, { signal }: { signal: AbortSignal }) {
    yield { at: new Date(0).toISOString(), stream: 'stdout', text: 'first' } as const;
    await once(signal, 'abort');
    ended.push('logs');
  };
  Object.assign(agent.runtime, { logs });
  const following = await agent.client.http.stream('GET', `/v1/machines/${id}/logs`, { query: { follow: true } });
  await once(following, 'data');
  assert.deepEqual(ended, []);
  following.destroy();
  await eventually(
    () => ended,
    ({ length }) => length === 1,
  );
});

test('who has all that there is to read is not taken for gone', async () => {
  await using agent = await agentFixture();
  const id = await runningMachine(agent);
  const signals: AbortSignal[] = [];
  const logs = async function* (_machine: string, { signal }: { signal: AbortSignal }) {
    signals.push(signal);
    yield { at: new Date(0).toISOString(), stream: 'stdout', text: 'all' } as const;
  };
  Object.assign(agent.runtime, { logs });
  await Array.fromAsync(await agent.client.http.stream('GET', `/v1/machines/${id}/logs`));
  await agent.client.info();
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [false],
  );
});
