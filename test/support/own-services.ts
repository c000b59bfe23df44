/**
 * An instance whose agent and control plane are the test's own children, so that it can kill them, choose their environment, and see
 * them end. The supervisor is stopped; lxcfs and machines stay as they are.
 */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../src/base/within.ts';
import { start } from '../../src/exec/run.ts';
import { AgentClient } from '../../src/client/agent.ts';
import { ControlClient } from '../../src/client/control.ts';
import { instancePaths } from '../../src/model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../../src/model/instance.ts';
import { loadInstanceConfig } from '../../src/setup/config.ts';
import { asUser, servicesOf } from '../../src/setup/service-list.ts';
import type { TestInstance } from './instance.ts';

const startTimeoutMs = 30_000;
const stopTimeoutMs = 60_000;

export class OwnService {
  readonly #child: ChildProcess;
  readonly ended: Promise<string>;
  #end: string | null = null;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve) =>
      child.on('exit', (code, signal) => {
        this.#end = signal ?? `code ${code}`;
        resolve(this.#end);
      }),
    );
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The signal or code it ended with; null while it runs. */
  get end(): string | null {
    return this.#end;
  }

  /** One that does not end in time is a fault, and does not outlive the test that finds it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<string> {
    this.#child.kill(signal);
    const end = await within(this.ended, stopTimeoutMs);
    if (end !== null) return end;
    this.#child.kill('SIGKILL');
    await this.ended;
    throw new Error(`process ${this.pid} did not end within ${stopTimeoutMs / 1000} s of ${signal}`);
  }
}

export class OwnServices implements AsyncDisposable {
  readonly paths: InstancePaths;
  readonly agent: AgentClient;
  readonly control: ControlClient;
  readonly #instance: TestInstance;
  readonly #running: Record<'agent' | 'control', OwnService | null> = { agent: null, control: null };
  #over = false;

  private constructor(instance: TestInstance) {
    this.#instance = instance;
    this.paths = instancePaths(instance.root);
    this.agent = new AgentClient(this.paths.agentSocket);
    this.control = new ControlClient(this.paths.controlSocket);
  }

  /** Takes the services over from the instance's supervisor. */
  static async take(instance: TestInstance): Promise<OwnServices> {
    await instance.must('down');
    return new OwnServices(instance);
  }

  get config(): InstanceConfig {
    return loadInstanceConfig(this.#instance.root);
  }

  get agentProcess(): OwnService | null {
    return this.#running.agent;
  }

  /** Starts the agent, with other files in place of some of the host's as only it sees them; true when it serves, false when it ended first. */
  async startAgent(env: Record<string, string> = {}, instead: Record<string, string> = {}): Promise<boolean> {
    const service = this.#start('agent', env, instead);
    return this.#answers(service, () => this.agent.info());
  }

  /** In place of the one that runs. */
  async renewAgent(env: Record<string, string> = {}, instead: Record<string, string> = {}): Promise<void> {
    await this.stop('agent');
    if (!(await this.startAgent(env, instead))) throw new Error('the agent did not start');
    await this.reachable();
  }

  async startControl(env: Record<string, string> = {}): Promise<boolean> {
    const service = this.#start('control', env);
    return this.#answers(service, () => this.control.info());
  }

  /** Both, until they have found each other. */
  async startBoth(env: Record<string, string> = {}): Promise<void> {
    if (!(await this.startAgent(env)) || !(await this.startControl(env))) throw new Error('the services did not start');
    await this.reachable();
  }

  /** Until the control plane has found the agent. */
  async reachable(): Promise<void> {
    for (const deadline = Date.now() + startTimeoutMs; (await this.control.info()).agent === null; await sleep(15))
      if (Date.now() > deadline) throw new Error('the control plane does not find the agent');
  }

  pidOf(name: 'agent' | 'control'): number {
    return this.#running[name]!.pid;
  }

  async stop(name: 'agent' | 'control', signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const service = this.#running[name];
    this.#running[name] = null;
    if (service !== null && service.end === null) await service.stop(signal);
  }

  #start(name: 'agent' | 'control', env: Record<string, string>, instead: Record<string, string> = {}): OwnService {
    // A test that was cancelled goes on; a child of it would keep the whole run from ending.
    if (this.#over) throw new Error(`the ${name} is not started any more: the test is over`);
    const service = servicesOf(this.config, this.paths).find((one) => one.name === name)!;
    const [program, ...args] = seeing(instead, asUser(service.user, service.argv, service.lowPorts));
    const output = openSync(`${this.paths.log}/${name}.log`, 'a', 0o640);
    const umask = process.umask(service.umask);
    const child = start(program, args, { stdio: ['ignore', output, output], env: { ...service.env, ...env }, cwd: '/' });
    process.umask(umask);
    closeSync(output);
    return (this.#running[name] = new OwnService(child));
  }

  async #answers(service: OwnService, ask: () => Promise<unknown>): Promise<boolean> {
    for (const deadline = Date.now() + startTimeoutMs; ; await sleep(15)) {
      if (service.end !== null) return false;
      try {
        await ask();
        return true;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    this.agent[Symbol.dispose]();
    this.control[Symbol.dispose]();
    try {
      await this.stop('control');
    } finally {
      await this.stop('agent');
    }
  }
}

const bindAll = 'while [ "$1" != -- ]; do mount --bind "$2" "$1" || exit 1; shift 2; done; shift; exec "$@"';

/** The command in a mount namespace of its own, where the files named first are covered by the second. */
const seeing = (instead: Record<string, string>, command: [string, ...string[]]): [string, ...string[]] =>
  Object.keys(instead).length === 0
    ? command
    : ['/usr/bin/unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', bindAll, 'sh', ...Object.entries(instead).flat(), '--', ...command];
