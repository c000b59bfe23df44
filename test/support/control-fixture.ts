/** A control plane of one test: simulated agent, real store, real socket, a temporary directory, all gone at the end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/base/logger.ts';
import { ControlClient } from '../../src/client/control.ts';
import { startControl } from '../../src/control/start.ts';
import type { ControlOptions, RunningControl } from '../../src/control/start.ts';
import { sharedPostgres } from './databases.ts';
import { SimulatedAgent } from './simulated-agent.ts';
import type { SimulatedAgentOptions } from './simulated-agent.ts';

export interface ControlFixture extends AsyncDisposable {
  directory: string;
  agent: SimulatedAgent;
  client: ControlClient;
  options: ControlOptions;
  control: RunningControl;
  /** Ends the control plane and starts it again on the same store. */
  restart(change?: Partial<ControlOptions>): Promise<void>;
  stopControl(): Promise<void>;
}

/** All tests of a file on PostgreSQL instead: CENOTE_TEST_DATABASE=postgres. */
const onPostgres = process.env['CENOTE_TEST_DATABASE'] === 'postgres';

export const quietLogger = () => createLogger({ name: 'test', level: 'silent' });

export const controlFixture = async (
  change: Partial<ControlOptions> & { agent?: SimulatedAgentOptions; agentAway?: boolean } = {},
): Promise<ControlFixture> => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'cenote-control-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const { agent: agentOptions, agentAway, ...controlChange } = change;
  const agent = stack.use(new SimulatedAgent(join(directory, 'agent.sock'), agentOptions));
  if (agentAway !== true) await agent.start();
  const options: ControlOptions = {
    root: directory,
    socketPath: join(directory, 'control.sock'),
    agentSocketPath: join(directory, 'agent.sock'),
    database: onPostgres ? await (await sharedPostgres()).create() : join(directory, 'store.sqlite'),
    adminGids: [],
    beginAnew: () => void restart(),
    logger: quietLogger(),
    ...controlChange,
  };
  const client = stack.use(new ControlClient(options.socketPath));
  const restart = async (restartChange: Partial<ControlOptions> = {}): Promise<void> => {
    await running?.[Symbol.asyncDispose]();
    running = undefined;
    running = await startControl({ ...options, ...restartChange });
  };
  let running: RunningControl | undefined = await startControl(options);
  stack.defer(async () => running?.[Symbol.asyncDispose]());
  const moved = stack.move();
  return {
    directory,
    agent,
    client,
    options,
    get control() {
      return running!;
    },
    stopControl: async () => {
      await running?.[Symbol.asyncDispose]();
      running = undefined;
    },
    restart,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
};

/** Waits for a condition, looking often; fails with what was last seen. */
export const eventually = async <T>(look: () => Promise<T> | T, accept: (value: T) => boolean, milliseconds = 60_000): Promise<T> => {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await look();
    if (accept(value)) return value;
    if (Date.now() > end) throw new Error(`did not come about: ${JSON.stringify(value).slice(0, 2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
