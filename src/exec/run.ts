/**
 * Starting programs: the only place that does. Arguments are always a list, never a shell line; output is capped; a program
 * that overstays gets SIGTERM, then SIGKILL.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions, StdioOptions } from 'node:child_process';
import { CenoteError } from '../base/errors.ts';

export interface RunOptions {
  /** Written to standard input, which is then closed; without it standard input is /dev/null. */
  input?: string | Uint8Array | undefined;
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
  cwd?: string | undefined;
  /** The whole environment; by default only PATH and LC_ALL. */
  env?: Record<string, string> | undefined;
  /** Bytes kept of each stream (the end of it). */
  maxOutputBytes?: number | undefined;
  onOutput?: ((line: string) => void) | undefined;
}

export interface RunResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

const killGraceMs = 2000;
export const plainEnvironment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' };

/** Runs to the end, whatever the exit code. Rejects only when the program cannot be started. */
export const runAny = (program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> =>
  new Promise((resolve, reject) => {
    const child = begin(program, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      cwd: options.cwd,
      env: options.env ?? plainEnvironment,
    });
    const limit = options.maxOutputBytes ?? 1024 * 1024;
    const stdout = new TailBuffer(limit);
    const stderr = new TailBuffer(limit);
    let timedOut = false;
    const stop = stopper(child);
    const timer = setTimeout(() => {
      timedOut = true;
      stop();
    }, options.timeoutMs ?? 60_000);
    options.signal?.addEventListener('abort', stop, { once: true });
    if (options.signal?.aborted) stop();
    child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk));
    if (options.onOutput !== undefined) {
      eachLine(child.stdout!, options.onOutput);
      eachLine(child.stderr!, options.onOutput);
    }
    const settle = () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', stop);
    };
    child.on('error', (cause: NodeJS.ErrnoException) => {
      settle();
      const missing = cause.code === 'ENOENT';
      reject(
        new CenoteError('failed', missing ? `${program} is not installed` : `${program} could not be started`, {
          cause,
          advice: missing ? 'run `cenote up` again: it installs what is missing' : undefined,
        }),
      );
    });
    child.on('close', (code, signal) => {
      settle();
      resolve({ code, signal, stdout: stdout.toString(), stderr: stderr.toString(), timedOut });
    });
    if (options.input !== undefined) {
      child.stdin!.on('error', () => {}); // the program may end before it has read all; its exit code tells
      child.stdin!.end(options.input);
    }
  });

/** Runs to the end and demands exit code 0; the error carries the last line of what the program said. */
export const run = async (program: string, args: readonly string[], options: RunOptions = {}): Promise<string> => {
  const result = await runAny(program, args, options);
  if (result.code === 0) return result.stdout;
  options.signal?.throwIfAborted();
  const said = result.stderr.trim().split('\n').at(-1) ?? '';
  const how = result.timedOut ? 'took too long' : result.signal === null ? `ended with code ${result.code}` : `was ended by ${result.signal}`;
  throw new CenoteError('failed', `${program} ${args[0] ?? ''} ${how}${said === '' ? '' : `: ${said}`}`, { context: { program, args, stderr: result.stderr } });
};

export interface StartOptions {
  stdio: StdioOptions;
  env?: Record<string, string> | undefined;
  cwd?: string | undefined;
  detached?: boolean | undefined;
}

/** Starts a long-lived program; the caller owns it and must end it. */
export const start = (program: string, args: readonly string[], options: StartOptions): ChildProcess =>
  begin(program, args, { stdio: options.stdio, env: options.env ?? plainEnvironment, cwd: options.cwd, detached: options.detached ?? false });

/** Where no file can be opened any more, Node gives a process without its streams, and says so by an event that comes before anybody listens. */
const begin = (program: string, args: readonly string[], options: SpawnOptions): ChildProcess => {
  const child = spawn(program, args, options);
  if ((child.stdio as ChildProcess['stdio'] | undefined) !== undefined) return child;
  child.on('error', () => {});
  throw new CenoteError('unavailable', `${program} cannot be started: too many files are open`);
};

/** Whether a program of this name is on the path. */
export const installed = async (program: string): Promise<boolean> => (await runAny('/bin/sh', ['-c', 'command -v "$0"', program])).code === 0;

const stopper = (child: ChildProcess) => () => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  setTimeout(() => child.kill('SIGKILL'), killGraceMs).unref();
};

const eachLine = (stream: NodeJS.ReadableStream, onLine: (line: string) => void) => {
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop()!.slice(-65_536);
    for (const line of lines) onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
};

/** Keeps the last `limit` bytes. */
class TailBuffer {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size - this.#chunks[0]!.length >= this.#limit) this.#size -= this.#chunks.shift()!.length;
  }

  toString(): string {
    return Buffer.concat(this.#chunks).subarray(-this.#limit).toString('utf8');
  }
}
