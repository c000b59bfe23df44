/** The tenants' machines: an instance of its own that has as much of the host as there is to have, an image with the app in it, and machines of it. */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../src/client/control.ts';
import type { CreateMachine, Machine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { startInstance } from '../../test/support/instance.ts';
import type { TestInstance } from '../../test/support/instance.ts';
import { demand } from '../lib/instance.ts';
import { burst, demandAll } from '../lib/measure.ts';
import { ask } from '../lib/web.ts';
import type { Target } from './sender.ts';
import type { Sizes } from './sizes.ts';

export const app = resolve(import.meta.dirname, '../../examples/tiles');
const image = 'tiles';
const waitSeconds = 60;
const instanceMib = { pool: 4096, spare: 128 };
const firstAnswerTimeoutMs = 60_000;

/** `slice`: the ceiling is the guarantee. `pool`: there is no ceiling. */
export type Cut = 'slice' | 'pool';

export interface Tenants extends AsyncDisposable {
  readonly host: TestInstance;
  readonly client: ControlClient;
  /** What each is guaranteed; less than a slice where other instances have a share of the host. */
  readonly guaranteeCpuMillis: number;
  resources(cut: Cut): NonNullable<CreateMachine['resources']>;
  /** Answers when it runs, which is before the app listens. */
  create(name: string, cut: Cut): Promise<Machine>;
  /** As many as there are tenants, each answering. */
  createAll(cut: Cut): Promise<Machine[]>;
  remove(machines: readonly Machine[]): Promise<void>;
  destroy(): Promise<string[]>;
}

export const targetOf = ({ address }: Machine): Target => ({ host: address, port: 80 });

export const openTenants = async (sizes: Sizes, note: (text: string) => void): Promise<Tenants> => {
  const { host, cpuMillis } = await startLargest(sizes, note);
  const client = new ControlClient(instancePaths(host.root).controlSocket);
  const guaranteeCpuMillis = Math.floor(cpuMillis / sizes.tenants);
  const resources: Tenants['resources'] = (cut) => ({
    cpuMillis: guaranteeCpuMillis,
    cpuCeilingMillis: cut === 'slice' ? sizes.sliceCpuMillis : null,
    memoryMib: sizes.sliceMemoryMib,
    memoryCeilingMib: cut === 'slice' ? sizes.sliceMemoryMib : null,
    diskMib: sizes.diskMib,
  });
  const create: Tenants['create'] = async (name, cut) => demand(await client.machineCreate({ name, image, resources: resources(cut) }, { wait: waitSeconds }));
  const remove: Tenants['remove'] = async (machines) => {
    const removed = await burst(machines.length, 4, async (index) => demandDone(await client.machineDelete(machines[index]!.id, { wait: waitSeconds })));
    demandAll('delete', removed);
  };
  const destroy = async (): Promise<string[]> => {
    client[Symbol.dispose]();
    return host.destroy();
  };
  try {
    // The app's image, from a machine that has it: what is created later has the app at once.
    await host.must('create', 'origin', '--image', 'node', '--code', app, '--cpu', '0.01', '--memory', '64M', '--disk', '256M');
    await host.must('image', 'create', image, '--from-machine', 'origin');
    await host.must('delete', 'origin', '--yes');
  } catch (error) {
    await destroy();
    throw error;
  }
  return {
    host,
    client,
    guaranteeCpuMillis,
    resources,
    create,
    createAll: async (cut) => {
      const machines: Machine[] = [];
      const made = await burst(sizes.tenants, 4, async (index) => {
        machines[index] = await create(`tenant-${index + 1}`, cut);
        await untilAnswers(targetOf(machines[index]));
      });
      demandAll('create', made);
      return machines;
    },
    remove,
    destroy,
    [Symbol.asyncDispose]: async () => void (await destroy()),
  };
};

const demandDone = ({ job }: { job: { state: string; reason: string | null } }): void => {
  if (job.state !== 'succeeded') throw new Error(`delete ${job.state}: ${job.reason ?? ''}`);
};

/** Other instances may have a share of the host: then what is guaranteed is less, and all ceilings are as they would be. */
const startLargest = async (sizes: Sizes, note: (text: string) => void): Promise<{ host: TestInstance; cpuMillis: number }> => {
  const whole = sizes.sliceCpuMillis * sizes.tenants;
  const memoryMib = sizes.sliceMemoryMib * sizes.tenants + instanceMib.spare;
  for (const share of [1, 0.75, 0.5, 0.25, 0.1]) {
    const cpuMillis = Math.floor(whole * share);
    try {
      return { host: await startInstance({ poolSizeMib: instanceMib.pool, cpuMillis, memoryMib, note }), cpuMillis };
    } catch (error) {
      if (share === 0.1 || !/free: the host has/.test(String(error))) throw error;
      note(`${cpuMillis / 1000} cores are not to be had: other instances have them`);
    }
  }
  throw new Error('unreachable');
};

/** Asks until the app answers. */
export const untilAnswers = async (target: Target, pollMs = 10): Promise<void> => {
  for (const deadline = Date.now() + firstAnswerTimeoutMs; ; await sleep(pollMs)) {
    try {
      const text = await ask(target, '/healthz');
      if (text.trim() === 'ok') return;
      throw new Error(`${target.host}:${target.port} said "${text.slice(0, 40)}"`);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
};
