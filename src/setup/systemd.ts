/** Services as systemd units, for hosts where systemd is in charge. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { CenoteError } from '../base/errors.ts';
import { run, runAny } from '../exec/run.ts';
import { machinesUnit } from '../host/cgroup/parent.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { serviceNames } from './service-list.ts';
import type { ServiceName } from './service-list.ts';
import type { ServiceManager } from './services.ts';
import { prepareUnit, unitName, unitsOf } from './units.ts';

const unitDirectory = '/etc/systemd/system';
/** Ours, with what someone has changed by drop-ins; and what the agent has told systemd. */
const unitDirectories = [unitDirectory, '/run/systemd/system.control'];
/** Longer than any unit may take by its own text. */
const timeoutMs = 300_000;

export class SystemdServices implements ServiceManager {
  readonly kind = 'systemd';
  readonly #instance: string;
  readonly #config: InstanceConfig | null;
  readonly #paths: InstancePaths;

  constructor(instance: string, config: InstanceConfig | null, paths: InstancePaths) {
    this.#instance = instance;
    this.#config = config;
    this.#paths = paths;
  }

  async start(options: { restart: boolean }): Promise<void> {
    if (this.#config === null) throw new CenoteError('failed', 'services cannot be started without a configuration');
    const changed = Object.entries(unitsOf(this.#config, this.#paths)).filter(([name, text]) => writeUnit(name, text));
    if (changed.length > 0) await run('systemctl', ['daemon-reload']);
    await run('systemctl', ['enable', '--quiet', ...this.#all]);
    await run('systemctl', ['start', '--no-block', this.#unit('lxcfs'), this.#unit('stand-in')]);
    const verb = options.restart || changed.length > 0 ? 'restart' : 'start';
    await run('systemctl', [verb, this.#unit('resolver'), this.#unit('agent'), this.#unit('control')], { timeoutMs });
  }

  async renewStandIn(): Promise<void> {
    await run('systemctl', ['restart', this.#unit('stand-in')], { timeoutMs });
  }

  async stop(options: { machines: boolean }): Promise<void> {
    await runAny('systemctl', ['stop', this.#unit('control'), this.#unit('agent'), ...(options.machines ? [this.#machines] : [])], { timeoutMs });
  }

  async remove(): Promise<void> {
    await runAny('systemctl', ['disable', '--quiet', ...this.#all]);
    await runAny('systemctl', ['stop', this.#unit('control'), this.#unit('agent')], { timeoutMs });
    // What the agent could not end has nothing left to end well.
    await runAny('systemctl', ['kill', '--signal=KILL', this.#machines]);
    const others = (['lxcfs', 'resolver', 'stand-in'] as const).map((name) => this.#unit(name));
    await runAny('systemctl', ['stop', this.#machines, ...others, prepareUnit(this.#instance)], { timeoutMs });
    for (const name of this.#all)
      for (const path of [name, `${name}.d`]) for (const directory of unitDirectories) rmSync(`${directory}/${path}`, { recursive: true, force: true });
    await run('systemctl', ['daemon-reload']);
    await runAny('systemctl', ['reset-failed', ...this.#all]);
  }

  async running(): Promise<Record<ServiceName, boolean>> {
    const states = await Promise.all(
      serviceNames.map(async (name) => [name, (await runAny('systemctl', ['is-active', '--quiet', this.#unit(name)])).code === 0]),
    );
    return Object.fromEntries(states) as Record<ServiceName, boolean>;
  }

  async lastLines(name: ServiceName, count: number): Promise<string[]> {
    const { stdout } = await runAny('journalctl', ['--unit', this.#unit(name), '--lines', String(count), '--output', 'cat', '--no-pager']);
    return stdout.trimEnd().split('\n');
  }

  #unit(name: ServiceName): string {
    return unitName(this.#instance, name);
  }

  get #machines(): string {
    return machinesUnit(this.#instance);
  }

  get #all(): string[] {
    return [...serviceNames.map((name) => this.#unit(name)), this.#machines, prepareUnit(this.#instance)];
  }
}

/** True when it was not there in this form. */
const writeUnit = (name: string, text: string): boolean => {
  const path = `${unitDirectory}/${name}`;
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false;
  writeFileSync(path, text, { mode: 0o644 });
  return true;
};
