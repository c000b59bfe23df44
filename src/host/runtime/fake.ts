/** A runtime whose processes are entries in a map: they end when a test, a signal or a kill says so. */
import { PassThrough } from 'node:stream';
import { CenoteError } from '../../base/errors.ts';
import type { LogLine } from '../../model/agent-api.ts';
import type { ExecSession, Runtime, RuntimeCreate, RuntimeExit, RuntimeProcess } from './runtime.ts';

/** A first argument of `fail:TEXT` makes create refuse with the text; `stubborn` ignores every signal but the kill. */
export class FakeRuntime implements Runtime {
  /** Machines whose program takes long to begin. */
  readonly slow = new Set<string>();
  readonly running = new Map<string, { process: RuntimeProcess; started: boolean; args: readonly string[] }>();
  #listener: (exit: RuntimeExit) => void = () => {};
  #nextPid = 100_000_000; // above any real one: nothing is ever signalled by mistake

  async create(request: RuntimeCreate): Promise<RuntimeProcess> {
    const { args } = request.specification.process;
    if (args[0]?.startsWith('fail:') === true) throw new CenoteError('failed', `the runtime refused: ${args[0].slice('fail:'.length)}`);
    const process = { pid: this.#nextPid++, monitorPid: this.#nextPid++ };
    this.running.set(request.machine, { process, started: false, args });
    return process;
  }

  async start(machine: string): Promise<void> {
    const entry = this.running.get(machine);
    if (entry === undefined) throw new CenoteError('failed', 'there is nothing to start');
    entry.started = true;
  }

  async signal(machine: string, signal: number): Promise<void> {
    if (this.running.get(machine)?.args[0] !== 'stubborn') this.end(machine, 128 + signal);
  }

  heeds(machine: string): boolean | null {
    return this.running.has(machine) ? true : null;
  }

  nodeWrites(): null {
    return null;
  }

  /** The process ends with this code, as conmon would say it. */
  end(machine: string, code: number): void {
    if (this.running.delete(machine)) this.#listener({ machine, code, at: new Date().toISOString() });
  }

  async remove(machine: string): Promise<void> {
    this.running.delete(machine);
  }

  async forget(): Promise<void> {}

  async exec(): Promise<ExecSession> {
    const [stdin, stdout, stderr] = [new PassThrough().resume(), new PassThrough().end(), new PassThrough().end()];
    return { stdin, stdout, stderr, resize: () => {}, exited: Promise.resolve({ code: 0 }), close: async () => {} };
  }

  async *logs(): AsyncGenerator<LogLine> {}

  onExit(listener: (exit: RuntimeExit) => void): void {
    this.#listener = listener;
  }

  async restore(machines: readonly string[]): Promise<Map<string, RuntimeProcess>> {
    return new Map(machines.flatMap((machine) => (this.running.has(machine) ? [[machine, this.running.get(machine)!.process] as const] : [])));
  }

  started(machine: string): boolean {
    return this.running.get(machine)?.started === true;
  }

  executes(machine: string): boolean {
    return !this.slow.has(machine);
  }

  async close(): Promise<void> {}
}
