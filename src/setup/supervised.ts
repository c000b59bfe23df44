/** Services under our own supervisor, for hosts without systemd. */
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../base/errors.ts';
import { plainEnvironment, start } from '../exec/run.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { unmount, unmountFlags } from '../sys/mount.ts';
import { isErrno } from '../sys/libc.ts';
import { lastLines, openLog } from './log-file.ts';
import { endProcess, forgetProcess, recallProcess } from '../sys/process-identity.ts';
import { serviceNames } from './service-list.ts';
import type { ServiceName } from './service-list.ts';
import type { ServiceManager } from './services.ts';
import { serviceLogPath, servicePidPath, supervisorPidPath } from './supervisor.ts';

const stopGraceMs = 30_000;
const serviceGraceMs = 10_000;
// Generous: a supervisor that fails ends, and is heard of at once; a loaded small host may take long.
const startTimeoutMs = 60_000;

export class SupervisedServices implements ServiceManager {
  readonly kind = 'supervisor';
  readonly #config: InstanceConfig | null;
  readonly #paths: InstancePaths;

  /** Without a configuration (it may be damaged) services can only be stopped. */
  constructor(config: InstanceConfig | null, paths: InstancePaths) {
    this.#config = config;
    this.#paths = paths;
  }

  async start(options: { restart: boolean }): Promise<void> {
    if (options.restart) {
      await this.stop();
      // Machines ask again; what was given up on comes within their next attempt.
      await this.#end('resolver');
    }
    if (this.#config === null) throw new CenoteError('failed', 'services cannot be started without a configuration');
    if (recallProcess(supervisorPidPath(this.#paths)) !== null) return;
    const output = openLog(serviceLogPath(this.#paths, 'supervisor'));
    const child = start(this.#config.nodePath, [`${this.#config.codePath}/src/setup/supervisor.ts`, '--root', this.#paths.root], {
      stdio: ['ignore', output, output],
      env: plainEnvironment,
      cwd: '/',
      detached: true,
    });
    closeSync(output);
    const failed = new Promise<never>((_resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => {
        if (code !== 0)
          reject(new CenoteError('failed', `the supervisor ended with code ${code}: ${lastLines(serviceLogPath(this.#paths, 'supervisor'), 1).join('')}`));
      });
    });
    failed.catch(() => {});
    child.unref();
    await Promise.race([failed, this.#appears()]);
  }

  /** The supervisor sees it end, perhaps before we do, and puts the next in its place: whose process it is then is not ours to say. */
  async renewStandIn(): Promise<void> {
    await this.#endProcess('stand-in', serviceGraceMs);
  }

  async stop(): Promise<void> {
    const supervisor = recallProcess(supervisorPidPath(this.#paths));
    if (supervisor !== null) await endProcess(supervisor, stopGraceMs);
    // Left over when the supervisor itself was killed.
    for (const name of ['control', 'agent'] as const) await this.#end(name);
  }

  async remove(): Promise<void> {
    await this.stop();
    for (const name of ['resolver', 'stand-in'] as const) await this.#end(name);
    try {
      unmount(this.#paths.lxcfs, unmountFlags.detach | unmountFlags.noFollow);
    } catch (error) {
      if (!isErrno(error, 'EINVAL', 'ENOENT')) throw error;
    }
    // Its load average thread sleeps for seconds before it sees a signal, and there is nothing left to end well.
    await this.#end('lxcfs', 0);
  }

  running(): Promise<Record<ServiceName, boolean>> {
    const states = serviceNames.map((name) => [name, recallProcess(servicePidPath(this.#paths, name)) !== null]);
    return Promise.resolve(Object.fromEntries(states) as Record<ServiceName, boolean>);
  }

  lastLines(name: ServiceName, count: number): Promise<string[]> {
    return Promise.resolve(lastLines(serviceLogPath(this.#paths, name), count));
  }

  async #end(name: ServiceName, graceMs = serviceGraceMs): Promise<void> {
    await this.#endProcess(name, graceMs);
    forgetProcess(servicePidPath(this.#paths, name));
  }

  async #endProcess(name: ServiceName, graceMs: number): Promise<void> {
    const running = recallProcess(servicePidPath(this.#paths, name));
    if (running !== null) await endProcess(running, graceMs);
  }

  async #appears(): Promise<void> {
    for (const deadline = Date.now() + startTimeoutMs; recallProcess(supervisorPidPath(this.#paths)) === null; await sleep(20))
      if (Date.now() > deadline)
        throw new CenoteError('timeout', 'the supervisor did not start', { context: { lines: lastLines(serviceLogPath(this.#paths, 'supervisor'), 5) } });
  }
}
