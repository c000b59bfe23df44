/** Starting and watching a machine's processes: crun runs, conmon watches and holds the output. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { ExecExit, ExecStart, LogLine } from '../../model/agent-api.ts';

export interface RuntimeExit {
  machine: string;
  /** As a shell would say it: 128 + signal. */
  code: number;
  at: string;
}

export interface RuntimeCreate {
  machine: string;
  /** The OCI runtime specification. */
  specification: object;
  logLimitMib: number;
}

export interface ExecSession {
  /** Null with a terminal: then all output is on `stdout`. */
  stdin: Writable;
  stdout: Readable;
  stderr: Readable | null;
  resize(columns: number, rows: number): void;
  exited: Promise<ExecExit>;
  /** Ends the process if it still runs. */
  close(): void;
}

export interface Runtime {
  /** conmon and `crun create`: the first process exists, waiting. The result is its pid. Failure says what the runtime said. */
  create(request: RuntimeCreate): Promise<number>;
  start(machine: string): Promise<void>;
  signal(machine: string, signal: number): Promise<void>;
  /** What the runtime keeps of an ended machine; idempotent. Output logs stay until `forget`. */
  remove(machine: string): Promise<void>;
  forget(machine: string): Promise<void>;
  exec(machine: string, start: ExecStart, defaults: { env: string[]; cwd: string; user: { uid: number; gid: number; additionalGids: number[] } }): Promise<ExecSession>;
  logs(machine: string, options: { follow: boolean; tail: number | null; signal: AbortSignal }): AsyncIterable<LogLine>;
  /** Exits are delivered once each, also those that happened while no agent ran (from `restore`). */
  onExit(listener: (exit: RuntimeExit) => void): void;
  /** Pid of each known machine that still runs. */
  restore(): Promise<Map<string, number>>;
  close(): Promise<void>;
}

export type Terminal = Duplex;
