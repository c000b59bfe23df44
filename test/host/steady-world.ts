/** An instance with a machine `steady` that nothing may disturb, for tests of what goes wrong around it. Agent and control plane are the test's own. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../src/base/errors.ts';
import type { CreateMachine } from '../../src/model/control-api.ts';
import type { Job } from '../../src/model/event.ts';
import type { MachineStatus } from '../../src/model/machine.ts';
import { startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { OwnServices } from '../support/own-services.ts';
import { checkHost } from './agent-crashes.ts';

/** Waits for the job. */
export const whole = { wait: 120 };

/** Above what any action may take. */
const endsWithinMs = 10 * 60_000;

export const small = (name: string): CreateMachine => ({
  name,
  command: ['/bin/sleep', '1000000'],
  resources: { diskMib: 64, memoryMib: 32, cpuMillis: 10 },
  stopGraceSeconds: 1,
});

export class SteadyWorld implements AsyncDisposable {
  readonly instance: TestInstance;
  readonly services: OwnServices;
  #pid: number | null | undefined;

  private constructor(instance: TestInstance, services: OwnServices) {
    this.instance = instance;
    this.services = services;
  }

  static async make(): Promise<SteadyWorld> {
    await using stack = new AsyncDisposableStack();
    const instance = stack.use(await startInstance({ poolSizeMib: 1024 }));
    const services = stack.use(await OwnServices.take(instance));
    await services.startBoth();
    const world = new SteadyWorld(instance, services);
    await services.control.machineCreate(small('steady'), whole);
    await world.restarted();
    stack.move();
    return world;
  }

  async running(): Promise<MachineStatus[]> {
    return (await this.services.agent.machineList()).filter(({ state }) => state === 'running');
  }

  /** The test itself has started `steady` again. */
  async restarted(): Promise<void> {
    this.#pid = await this.#steadyPid();
  }

  /** The job's end, however often the control plane goes away meanwhile. */
  async ended(id: string): Promise<Job> {
    for (const deadline = Date.now() + endsWithinMs; ; await sleep(50)) {
      const job = await this.services.control.jobGet(id, { wait: 30 }).catch(() => null);
      if (job?.state === 'succeeded' || job?.state === 'failed') return job;
      assert.ok(Date.now() < deadline, `job ${id} does not end: ${JSON.stringify(job)}`);
    }
  }

  async remove(name: string): Promise<void> {
    assert.equal((await this.services.control.machineDelete(name, whole)).job.state, 'succeeded');
  }

  /** Also those whose delete was taken though its answer was lost. */
  async removeOthers(): Promise<void> {
    for (const { name } of await this.services.control.machineList()) {
      if (name !== 'steady') await this.remove(name).catch(ignoreGone);
    }
  }

  async undisturbed(): Promise<void> {
    assert.equal(await this.#steadyPid(), this.#pid, 'a machine that had nothing to do with it was restarted');
  }

  /** A machine can be made and deleted, and then there is nothing but what the agent knows of, `steady` among it. */
  async works(name: string): Promise<void> {
    const { job } = await this.services.control.machineCreate(small(name), whole);
    assert.equal(job.state, 'succeeded', job.reason ?? '');
    await this.remove(name);
    await this.undisturbed();
    await checkHost(this.instance, this.services);
  }

  async #steadyPid(): Promise<number | null | undefined> {
    return (await this.running()).find(({ spec }) => spec.name === 'steady')?.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.services[Symbol.asyncDispose]();
    await this.instance[Symbol.asyncDispose]();
  }
}

const ignoreGone = (error: unknown): void => {
  if (!(error instanceof CenoteError) || error.code !== 'not_found') throw error;
};
