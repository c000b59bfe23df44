/** A whole Cenote of the benchmark's own, as `cenote up` makes it, and what suites do with it again and again. */
import { join } from 'node:path';
import { ControlClient } from '../../src/client/control.ts';
import { AgentClient } from '../../src/client/agent.ts';
import type { CreateMachine, Machine } from '../../src/model/control-api.ts';
import type { Job } from '../../src/model/event.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { startInstance } from '../../test/support/instance.ts';
import type { TestInstance } from '../../test/support/instance.ts';
import { burst } from './measure.ts';

export interface BenchInstance {
  readonly host: TestInstance;
  readonly client: ControlClient;
  readonly agent: AgentClient;
  readonly controlSocket: string;
  readonly agentPidFile: string;
  readonly controlPidFile: string;
  /** Answers when it runs. */
  create(options?: CreateMachine): Promise<Machine>;
  remove(id: string): Promise<void>;
  removeAll(): Promise<void>;
  /** The clients' connections; `host` is taken away by itself. */
  close(): void;
}

const waitSeconds = 120;
export const perl = '/usr/bin/perl';
/** So small that a thousand fit anywhere. */
export const smallResources = { cpuMillis: 1, memoryMib: 4, diskMib: 16 } as const;

/** What a thousand machines need to be promised; and what is enough to try the programs out beside other instances. */
const shares = { full: { poolSizeMib: 20 * 1024, cpuMillis: 1100, memoryMib: 8 * 1024 }, small: { poolSizeMib: 4 * 1024, cpuMillis: 200, memoryMib: 2048 } };

export const openBenchInstance = async (small: boolean, note: (text: string) => void): Promise<BenchInstance> => {
  const host = await startInstance({ ...(small ? shares.small : shares.full), note });
  const paths = instancePaths(host.root);
  const client = new ControlClient(paths.controlSocket);
  const agent = new AgentClient(paths.agentSocket);
  const remove = async (id: string): Promise<void> => {
    const { job } = await client.machineDelete(id, { wait: waitSeconds });
    succeeded(job);
  };
  return {
    host,
    client,
    agent,
    controlSocket: paths.controlSocket,
    agentPidFile: join(paths.run, 'agent.pid'),
    controlPidFile: join(paths.run, 'control.pid'),
    create: async (options = {}) => {
      const { resources, ...rest } = options;
      return demand(await client.machineCreate({ image: 'base', ...rest, resources: { ...smallResources, ...resources } }, { wait: waitSeconds }));
    },
    remove,
    removeAll: async () => {
      const machines = await client.machineList();
      await burst(machines.length, 8, (index) => remove(machines[index]!.id));
    },
    close: () => {
      client[Symbol.dispose]();
      agent[Symbol.dispose]();
    },
  };
};

/** What a Perl program says inside a machine. */
export const perlInside = async ({ host }: BenchInstance, name: string, script: string, ...args: (string | number)[]): Promise<string> =>
  (await host.must('exec', name, '--', perl, '-e', script, ...args.map(String))).trim();

/** The job must have succeeded in time. */
const succeeded = (job: Job): void => {
  if (job.state !== 'succeeded') throw new Error(`${job.action} ${job.state}: ${job.reason ?? 'not within the time'}`);
};

export const demand = ({ job, machine }: { job: Job; machine: Machine | null }): Machine => {
  succeeded(job);
  if (machine === null) throw new Error(`${job.action}: no machine in the answer`);
  return machine;
};
