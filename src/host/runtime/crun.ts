/**
 * Machines run by crun and watched by conmon. What crun offers as a program but is a single call to the kernel in truth is done
 * directly, since starting a program costs 4-20 ms: `start` is a byte into the waiting process's FIFO, `delete` of an ended
 * machine is the removal of crun's state directory (its cgroups are ours to remove). Where the FIFO is not as expected, crun itself is asked.
 */
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  writeSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { ExecStart, LogLine } from '../../model/agent-api.ts';
import { plainEnvironment, run } from '../../exec/run.ts';
import { oomScoreOf } from '../cgroup/oom-score.ts';
import { isErrno } from '../../sys/libc.ts';
import { SealedProgram } from '../../sys/sealed-program.ts';
import { spawnWithPipe } from '../../sys/spawn.ts';
import type { Spawned } from '../../sys/spawn.ts';
import { endLeftSessions, execInMachine } from './exec.ts';
import { ExitWatch, alive } from './exit-watch.ts';
import { currentName, readLog } from './log-file.ts';
import type { LogOptions } from './log-file.ts';
import { keepRotated, makeLogDirectory, removeLogs } from './log-rotation.ts';
import { SeccompCache } from './seccomp-cache.ts';
import { nodeWrites } from './node-writes.ts';
import { heeds } from './signal-mask.ts';
import type { ExecProcess, ExecSession, Runtime, RuntimeCreate, RuntimeExit, RuntimeProcess } from './runtime.ts';

export interface CrunOptions {
  /** On a file system that a reboot empties: bundles, crun's state, exit files. */
  runDirectory: string;
  logDirectory: string;
  /** The system call filter, as the OCI specification has it. */
  seccomp: object;
  /** Puts a monitor into the group where it belongs; nothing when the process has ended. */
  admitMonitor: (pid: number) => Promise<void>;
  logger: Logger;
}

const createTimeoutMs = 30_000;
const monitorRounds = 300;
const monitorPatience = 200;

export const openRuntime = (options: CrunOptions): Runtime => new CrunRuntime(options);

class CrunRuntime implements Runtime {
  readonly #options: CrunOptions;
  readonly #program = new SealedProgram('/usr/bin/crun');
  readonly #exits: ExitWatch;
  readonly #filter: SeccompCache;
  readonly #logWatches = new Map<string, FSWatcher>();
  #listener: (exit: RuntimeExit) => void = () => {};

  constructor(options: CrunOptions) {
    this.#options = options;
    for (const name of ['bundles', 'exits', 'crun']) mkdirSync(join(options.runDirectory, name), { recursive: true, mode: 0o700 });
    this.#filter = new SeccompCache(options.seccomp, options.runDirectory);
    mkdirSync(options.logDirectory, { recursive: true, mode: 0o700 });
    this.#exits = new ExitWatch(join(options.runDirectory, 'exits'), (exit) => this.#ended(exit));
  }

  onExit(listener: (exit: RuntimeExit) => void): void {
    this.#listener = listener;
  }

  async create(request: RuntimeCreate): Promise<RuntimeProcess> {
    const { machine } = request;
    const bundle = this.#bundle(machine);
    rmSync(bundle, { recursive: true, force: true });
    mkdirSync(bundle, { mode: 0o700 });
    const { seccomp, ...annotations } = this.#filter.specification();
    const { linux, ...rest } = request.specification;
    writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ...rest, ...annotations, linux: { ...linux, seccomp } }));
    this.#exits.clear(machine);
    const log = this.#log(machine);
    makeLogDirectory(log);
    const half = Math.max(64 * 1024, Math.floor((request.logLimitMib * 2 ** 20) / 2));
    const args = ['--api-version', '1', '--cid', machine, '--cuuid', machine, '--runtime', this.#program.path(), '--runtime-arg', `--root=${this.#state()}`];
    args.push('--bundle', bundle, '--container-pidfile', join(bundle, 'pid'), '--conmon-pidfile', join(bundle, 'monitor'));
    args.push('--exit-dir', join(this.#options.runDirectory, 'exits'), '--full-attach', '--no-sync-log');
    args.push('--log-path', `k8s-file:${join(log, currentName)}`, '--log-size-max', String(half));
    let starter: number | undefined;
    try {
      const { output, ended, ...started } = await startMonitor(args);
      starter = started.pid;
      // At once, before it has used memory or divided.
      const admitted = this.#options.admitMonitor(starter);
      admitted.catch(() => {}); // awaited below
      const answer = await readSync(output);
      // What was started writes down the monitor's pid and ends; on a busy host the monitor may have answered before that.
      await ended;
      const pid = answer.pid ?? -1;
      if (pid <= 0) throw new CenoteError('failed', `the runtime refused: ${answer.message ?? 'it gave no reason'}`);
      const monitorPid = Number(readFileSync(join(bundle, 'monitor'), 'utf8'));
      await admitted;
      await this.#options.admitMonitor(monitorPid); // it may have divided before
      const process = { pid, monitorPid };
      this.#filter.learn(join(this.#state(), machine));
      this.#keepRotated(machine);
      this.#watchLog(machine);
      this.#exits.add(machine, process);
      return process;
    } catch (error) {
      // The runtime writes its pid last: without it `remove` does not know the monitor, which goes on with a try that came too late. The
      // runtime ends with it; what that has begun in the machine's group is killed with the group, by whoever asked for it.
      if (starter !== undefined) await endMonitor(starter, machine);
      const monitor = numberIn(join(bundle, 'monitor'));
      if (monitor > 0) await endMonitor(monitor, machine);
      await this.remove(machine);
      throw error;
    }
  }

  async start(machine: string): Promise<void> {
    try {
      const path = join(this.#state(), machine, 'exec.fifo');
      const fifo = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        unlinkSync(path);
        writeSync(fifo, '0');
      } finally {
        closeSync(fifo);
      }
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENXIO')) throw error;
      await run('crun', ['--root', this.#state(), 'start', machine], { timeoutMs: createTimeoutMs });
    }
  }

  async signal(machine: string, signal: number): Promise<void> {
    const running = this.#exits.get(machine);
    if (running === undefined) return;
    signalIfThere(running.pid, signal);
  }

  heeds(machine: string, signal: number): boolean | null {
    const running = this.#exits.get(machine);
    try {
      return running === undefined ? null : heeds(readFileSync(`/proc/${running.pid}/status`, 'utf8'), signal);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
      throw error;
    }
  }

  nodeWrites(machine: string): number | null {
    const running = this.#exits.get(machine);
    return running === undefined ? null : nodeWrites(running.pid);
  }

  async remove(machine: string): Promise<void> {
    // The monitor sees its machine end a moment after us, and would write into what is removed here.
    const monitor = this.#known(machine)?.monitorPid;
    if (monitor !== undefined) await endMonitor(monitor, machine);
    this.#exits.clear(machine);
    this.#logWatches.get(machine)?.close();
    this.#logWatches.delete(machine);
    rmSync(join(this.#state(), machine), { recursive: true, force: true });
    rmSync(this.#bundle(machine), { recursive: true, force: true });
  }

  async forget(machine: string): Promise<void> {
    removeLogs(this.#log(machine));
  }

  exec(machine: string, request: ExecStart, process: ExecProcess): Promise<ExecSession> {
    // As its first process has it: by what the machine is guaranteed, or offered to the kernel because it borrows.
    const first = this.#exits.get(machine)?.pid;
    const oomScoreAdj = (first === undefined ? null : oomScoreOf(first)) ?? 0;
    return execInMachine({ program: this.#program.path(), state: this.#state(), directory: this.#bundle(machine), machine, request, process, oomScoreAdj });
  }

  logs(machine: string, options: LogOptions): AsyncIterable<LogLine> {
    makeLogDirectory(this.#log(machine));
    return readLog(this.#log(machine), options);
  }

  async restore(machines: readonly string[]): Promise<Map<string, RuntimeProcess>> {
    const running = new Map<string, RuntimeProcess>();
    this.#exits.keepOnly(machines);
    for (const machine of machines) {
      const process = this.#known(machine);
      if (process === null) continue;
      if (alive(process.pid)) {
        running.set(machine, process);
        endLeftSessions(this.#bundle(machine), (pid) => isIn(machine, pid));
        this.#keepRotated(machine);
        this.#watchLog(machine);
      }
      this.#exits.add(machine, process);
    }
    return running;
  }

  started(machine: string): boolean {
    // The waiting process holds a FIFO of this name, which is removed when it is let go.
    return !existsSync(join(this.#state(), machine, 'exec.fifo'));
  }

  executes(machine: string): boolean {
    const process = this.#exits.get(machine);
    if (process === undefined) return true;
    try {
      return readlinkSync(`/proc/${process.pid}/exe`) !== readlinkSync(this.#program.path());
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH')) return true;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#program[Symbol.dispose]();
    this.#exits.close();
    for (const watcher of this.#logWatches.values()) watcher.close();
  }

  #known(machine: string): RuntimeProcess | null {
    try {
      const [pid, monitorPid] = ['pid', 'monitor'].map((file) => Number(readFileSync(join(this.#bundle(machine), file), 'utf8')));
      return pid !== undefined && monitorPid !== undefined && pid > 0 ? { pid, monitorPid } : null;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return null;
      throw error;
    }
  }

  #ended(exit: RuntimeExit): void {
    // conmon writes the last output before the exit file, so the log is whole by now.
    this.#listener(exit);
  }

  /** A disk that is full keeps the former file from being kept, and nothing else: the next change looks anew. */
  #keepRotated(machine: string): void {
    try {
      keepRotated(this.#log(machine));
    } catch (error) {
      this.#options.logger.warn({ machine, err: error }, 'a full log could not be kept');
    }
  }

  #watchLog(machine: string): void {
    const directory = this.#log(machine);
    const watcher = watch(directory, { persistent: false }, (event) => {
      if (event === 'rename') this.#keepRotated(machine);
    });
    watcher.on('error', (error) => this.#options.logger.warn({ machine, error: error.message }, 'log rotation stopped'));
    this.#logWatches.set(machine, watcher);
  }

  #state = (): string => join(this.#options.runDirectory, 'crun');
  #bundle = (machine: string): string => join(this.#options.runDirectory, 'bundles', machine);
  #log = (machine: string): string => join(this.#options.logDirectory, machine);
}

/** 0 when there is none. */
const numberIn = (path: string): number => (existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0);

/** What is started ends as soon as its child, which is the monitor, goes on by itself. */
const startMonitor = async (args: readonly string[]): Promise<Spawned> => {
  try {
    return await spawnWithPipe('/usr/bin/conmon', args, { ...plainEnvironment, _OCI_SYNCPIPE: '3' }, 3);
  } catch (cause) {
    throw new CenoteError('failed', 'conmon could not be started', { cause, advice: 'run `cenote up` again: it installs what is missing' });
  }
};

/** Waits until it is gone, or for a while: one that cannot be ended has nothing left to watch. Its number may be another's by now. */
const endMonitor = async (pid: number, machine: string): Promise<void> => {
  const isThere = () => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`--cid\0${machine}\0`);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH')) return false;
      throw error;
    }
  };
  for (let round = 0; round < monitorRounds && isThere(); round += 1) {
    // It ends by itself within milliseconds; killed in the middle of writing it would leave half a file.
    if (round >= monitorPatience) signalIfThere(pid, 'SIGKILL');
    await sleep(1);
  }
};

/** By its control groups, which are named after the machine. */
const isIn = (machine: string, pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(machine);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
};

const signalIfThere = (pid: number, signal: number | NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
};

/** conmon's answer on its sync pipe: one JSON object, `data` the pid or a negative number with `message` why. */
const readSync = async (pipe: Readable): Promise<{ pid?: number; message?: string }> => {
  const timeout = sleep(createTimeoutMs, 'timeout' as const, { ref: false });
  const answer = (async () => {
    let text = '';
    for await (const chunk of pipe) {
      text += String(chunk);
      if (text.endsWith('\n')) break;
    }
    return text;
  })();
  const text = await Promise.race([answer, timeout]);
  pipe.destroy();
  if (text === 'timeout') throw new CenoteError('timeout', `the runtime did not answer within ${createTimeoutMs / 1000} s`);
  try {
    const parsed = JSON.parse(text) as { data?: number; pid?: number; message?: string };
    return { pid: parsed.data ?? parsed.pid ?? -1, ...(parsed.message === undefined ? {} : { message: parsed.message.trim() }) };
  } catch (cause) {
    throw new CenoteError('failed', 'the runtime ended without an answer', { cause, context: { text } });
  }
};
