/** Running one more process in a machine, with pipes or with a terminal of its own. When the session closes, the process is ended. */
import { rmSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Writable } from 'node:stream';
import { randomUUID } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import { ReadStream } from 'node:tty';
import { CenoteError } from '../../base/errors.ts';
import type { ExecExit, ExecStart } from '../../model/agent-api.ts';
import { start } from '../../exec/run.ts';
import { isErrno } from '../../sys/libc.ts';
import { listenForConsole, setWindowSize } from '../../sys/terminal.ts';
import { capabilities, machineOomScore } from './specification.ts';
import type { ExecProcess, ExecSession } from './runtime.ts';

interface ExecRequest {
  /** The runtime, as a path to execute now. */
  program: string;
  /** crun's state directory. */
  state: string;
  /** For the process file and the terminal's socket. */
  directory: string;
  machine: string;
  request: ExecStart;
  process: ExecProcess;
}

const consoleTimeoutSeconds = 10;

export const execInMachine = async ({ program, state, directory, machine, request, process: as }: ExecRequest): Promise<ExecSession> => {
  const name = join(directory, `x${randomUUID().slice(0, 8)}`);
  const [processFile, pidFile, socket] = [`${name}.json`, `${name}.pid`, `${name}.tty`];
  const specification = {
    terminal: request.tty,
    ...(request.tty ? { consoleSize: { width: request.columns ?? 80, height: request.rows ?? 24 } } : {}),
    user: as.user,
    args: request.command,
    env: as.env,
    cwd: as.cwd,
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities, inheritable: [] },
    noNewPrivileges: as.noNewPrivileges,
    oomScoreAdj: machineOomScore,
  };
  writeFileSync(processFile, JSON.stringify(specification), { mode: 0o600 });
  const tidy = () => {
    for (const file of [processFile, pidFile, socket]) rmSync(file, { force: true });
  };
  const args = ['--root', state, 'exec', '--process', processFile, '--pid-file', pidFile];
  if (request.tty) args.push('--tty', '--console-socket', socket);
  let terminal: number | null = null;
  let child: ChildProcess;
  try {
    using listener = request.tty ? listenForConsole(socket, consoleTimeoutSeconds) : null;
    child = start(program, [...args, machine], { stdio: [request.stdin && !request.tty ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    if (listener !== null) terminal = await receiveTerminal(listener.receive(), child);
  } catch (error) {
    tidy();
    throw error;
  }
  const exited = exitOf(child, tidy);
  const kill = () => {
    try {
      process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ESRCH')) throw error;
    }
    child.kill('SIGKILL');
  };
  return terminal === null ? pipeSession(child, exited, kill) : terminalSession(terminal, child, exited, kill);
};

/** The runtime either passes the terminal or ends with an error on its own output. */
const receiveTerminal = (received: Promise<number>, child: ChildProcess): Promise<number> => {
  let said = '';
  child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString('utf8').slice(0, 4096)));
  const ended = new Promise<never>((_resolve, reject) =>
    child.on('close', (code) => reject(new CenoteError('failed', `the process could not be started: ${cleanMessage(said) || `code ${code}`}`))),
  );
  received.catch(() => {}); // when the runtime ended first, the wait for the terminal times out later, unheard
  return Promise.race([received, ended]);
};

const cleanMessage = (text: string): string =>
  text
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^\S+Z: /, '') ?? '';

const exitOf = (child: ChildProcess, tidy: () => void): Promise<ExecExit> =>
  new Promise((resolve) => {
    child.on('error', (error) => {
      tidy();
      resolve({ code: 126, error: error.message });
    });
    child.on('exit', (code, signal) => {
      tidy();
      resolve(signal === null ? { code: code ?? 0 } : { code: 137 });
    });
  });

const pipeSession = (child: ChildProcess, exited: Promise<ExecExit>, kill: () => void): ExecSession => {
  const stdin: Writable = child.stdin ?? new PassThrough().resume();
  stdin.on('error', () => {}); // the process may end without reading all
  return { stdin, stdout: child.stdout!, stderr: child.stderr!, resize: () => {}, exited, close: kill };
};

const terminalSession = (fd: number, child: ChildProcess, exited: Promise<ExecExit>, kill: () => void): ExecSession => {
  const terminal = new ReadStream(fd);
  const stdout = new PassThrough();
  // The kernel answers EIO on the controlling end once the last process has closed the other: that is its end of file.
  terminal.on('error', () => stdout.end());
  terminal.on('close', () => stdout.end());
  terminal.on('data', (chunk: Buffer) => {
    if (!stdout.write(chunk)) terminal.pause();
  });
  stdout.on('drain', () => terminal.resume());
  child.stdout!.resume();
  child.stderr!.resume();
  return {
    stdin: terminal,
    stdout: stdout,
    stderr: null,
    resize: (columns, rows) => setWindowSize(fd, columns, rows),
    exited,
    close: () => {
      kill();
      terminal.destroy();
    },
  };
};
