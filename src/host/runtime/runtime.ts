/** Starting and watching a machine's processes: crun runs, conmon watches and holds the output. */
import type { Readable, Writable } from 'node:stream';
import type { ExecExit, ExecStart, LogLine } from '../../model/agent-api.ts';
import type { ProcessUser, machineSpecification } from './specification.ts';

export interface RuntimeExit {
  machine: string;
  /** As a shell would say it: 128 + signal. */
  code: number;
  at: string;
}

export interface RuntimeCreate {
  machine: string;
  /** The OCI runtime specification, without the system call filter. */
  specification: ReturnType<typeof machineSpecification>;
  logLimitMib: number;
}

/** What a process inside runs as, once names are resolved. */
export interface ExecProcess {
  env: string[];
  cwd: string;
  user: ProcessUser;
  noNewPrivileges: boolean;
  /** Nobody waits for it: it goes on when the agent ends. All others are ended then, or by the next agent. */
  isUnattended?: boolean;
}

export interface RuntimeProcess {
  /** The machine's first process. */
  pid: number;
  /** The process that holds its output and waits for its end. */
  monitorPid: number;
}

export interface ExecSession {
  stdin: Writable;
  /** With a terminal, all output. */
  stdout: Readable;
  stderr: Readable | null;
  resize(columns: number, rows: number): void;
  exited: Promise<ExecExit>;
  /** Ends the process if it still runs; resolves when it has, or was never begun. Nothing more is read of what it wrote. */
  close(): Promise<void>;
}

export interface Runtime {
  /** conmon and `crun create`: the first process exists, waiting. Failure says what the runtime said. */
  create(request: RuntimeCreate): Promise<RuntimeProcess>;
  start(machine: string): Promise<void>;
  signal(machine: string, signal: number): Promise<void>;
  /** Whether the first process would notice this signal now; null when it is gone. */
  heeds(machine: string, signal: number): boolean | null;
  /** How often the first process has written anything, when it is a Node; null for others, and where that cannot be told. */
  nodeWrites(machine: string): number | null;
  /** What the runtime keeps of an ended machine; idempotent. Output logs stay until `forget`. */
  remove(machine: string): Promise<void>;
  forget(machine: string): Promise<void>;
  exec(machine: string, start: ExecStart, process: ExecProcess): Promise<ExecSession>;
  logs(machine: string, options: { follow: boolean; tail: number | null; signal: AbortSignal }): AsyncIterable<LogLine>;
  /** Exits are delivered once each, also those that happened while no agent ran (from `restore`). */
  onExit(listener: (exit: RuntimeExit) => void): void;
  /** Processes of each machine that still runs; from here on `onExit` hears of all ends, also of those before. */
  restore(machines: readonly string[]): Promise<Map<string, RuntimeProcess>>;
  /** Whether a created machine was let go, that is: `start` has happened. */
  started(machine: string): boolean;
  /** Whether the first process is the machine's program by now, and no longer the runtime on its way there, or has ended. */
  executes(machine: string): boolean;
  close(): Promise<void>;
}
