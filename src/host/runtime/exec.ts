/**
 * Running one more process in a machine, with pipes or with a terminal of its own. When the session closes, the process is ended.
 *
 * The runtime writes the process's pid once it has started, and ends without one when it could not start: then what it said on standard
 * error (or the terminal) is the reason and not the command's own output, and its exit status is no status of the command's.
 */
import { existsSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { randomUUID } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import { ReadStream } from 'node:tty';
import { CenoteError } from '../../base/errors.ts';
import type { ExecExit, ExecStart } from '../../model/agent-api.ts';
import { start } from '../../exec/run.ts';
import { isErrno } from '../../sys/libc.ts';
import { TerminalInput } from '../../sys/terminal-input.ts';
import { listenForConsole, setWindowSize } from '../../sys/terminal.ts';
import { processCapabilities } from './specification.ts';
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
  oomScoreAdj: number;
}

const consoleTimeoutSeconds = 10;
const passedTerminalMs = 1000;
const startPollMs = 5;
/** As shells have it: 127 where there is no such program, 126 where it cannot be run. */
const [noSuchProgram, notRun] = [127, 126];

export const execInMachine = async ({ program, state, directory, machine, request, process: as, oomScoreAdj }: ExecRequest): Promise<ExecSession> => {
  const name = join(directory, `x${randomUUID().slice(0, 8)}`);
  const [processFile, pidFile, socket] = [`${name}.json`, `${name}.pid`, `${name}.tty`];
  const specification = {
    terminal: request.tty,
    ...(request.tty ? { consoleSize: { width: request.columns ?? 80, height: request.rows ?? 24 } } : {}),
    user: as.user,
    args: request.command,
    env: as.env,
    cwd: as.cwd,
    capabilities: processCapabilities(as.noNewPrivileges),
    noNewPrivileges: as.noNewPrivileges,
  };
  writeFileSync(processFile, JSON.stringify(specification), { mode: 0o600 });
  const tidy = () => {
    for (const file of [processFile, pidFile, socket]) rmSync(file, { force: true });
  };
  // The runtime passes over the specification's oomScoreAdj, and hands down what it has from the agent, which is the host's last to be killed.
  const args = ['-n', String(oomScoreAdj), '--', program, '--root', state, 'exec', '--process', processFile, '--pid-file', pidFile];
  if (request.tty) args.push('--tty', '--console-socket', socket);
  let terminal: number | null = null;
  let child: ChildProcess;
  let ended: Promise<Ended>;
  let begun: Promise<boolean>;
  try {
    using listener = request.tty ? listenForConsole(socket, consoleTimeoutSeconds) : null;
    child = start('choom', [...args, machine], { stdio: [request.stdin && !request.tty ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    // Heard from the first moment: it may have ended before its terminal is here.
    ended = endOf(child);
    begun = begunOrNot(ended, pidFile);
    if (listener !== null) terminal = await receiveTerminal(listener.receive(), child);
  } catch (error) {
    tidy();
    throw error;
  }
  // Held from the first moment: what nobody reads when a child ends, Node throws away.
  const said = terminal === null ? child.stderr!.pipe(new PassThrough()) : new ReadStream(terminal);
  const exited = exitOf(ended, begun, said, request.command[0] ?? '').finally(tidy);
  const kill = () => {
    try {
      process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ESRCH')) throw error;
    }
    child.kill('SIGKILL');
  };
  return terminal === null
    ? pipeSession(child, said as PassThrough, begun, exited, kill)
    : terminalSession(terminal, said as ReadStream, child, begun, exited, kill);
};

/** How the runtime ended; what it was given as exit status is the command's, if that was started. */
interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  error?: Error;
}

const endOf = (child: ChildProcess): Promise<Ended> =>
  new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });

/** Whether the process was started, once that is known. */
const begunOrNot = (ended: Promise<Ended>, pidFile: string): Promise<boolean> =>
  new Promise((resolve) => {
    const settle = (begun: boolean): void => {
      clearInterval(poll);
      resolve(begun);
    };
    const poll = setInterval(() => {
      if (existsSync(pidFile)) settle(true);
    }, startPollMs);
    void ended.then(() => settle(existsSync(pidFile)));
  });

/** The runtime either passes the terminal or ends with an error on its own output. */
const receiveTerminal = (received: Promise<number>, child: ChildProcess): Promise<number> => {
  let said = '';
  child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString('utf8').slice(0, 4096)));
  const ended = new Promise<never>((_resolve, reject) =>
    child.on('close', (code) => {
      const refuse = (): void => reject(new CenoteError('failed', `the process could not be started: ${cleanMessage(said) || `code ${code}`}`));
      // One that ends without a word has passed the terminal and spoken there; it may be on its way to us still.
      if (said === '') setTimeout(refuse, passedTerminalMs);
      else refuse();
    }),
  );
  ended.catch(() => {}); // the terminal came, and this is late
  received.catch(() => {}); // when the runtime ended first, the wait for the terminal times out later, unheard
  return Promise.race([received, ended]);
};

/** The runtime's last line, without its time and colours. */
const cleanMessage = (text: string): string =>
  stripVTControlCharacters(text)
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^\S+Z: /, '') ?? '';

const exitOf = async (ended: Promise<Ended>, begun: Promise<boolean>, said: Readable, program: string): Promise<ExecExit> => {
  const { code, signal, error } = await ended;
  if (error !== undefined) return { code: notRun, error: error.message };
  if ((await begun) || signal !== null) return signal === null ? { code: code ?? 0 } : { code: 137 };
  const message = cleanMessage(await textOf(said));
  return /^executable file .* not found/.test(message)
    ? { code: noSuchProgram, error: `there is no program ${program} in the machine` }
    : { code: notRun, error: `${program} cannot be run: ${message || `the runtime ended with ${code}`}` };
};

/** To its end, which for a terminal is an error (EIO). */
const textOf = async (stream: Readable): Promise<string> => {
  let text = '';
  try {
    for await (const chunk of stream) text += (chunk as Buffer).toString('utf8').slice(0, 4096);
  } catch {
    // what came before it counts
  }
  return text;
};

const pipeSession = (child: ChildProcess, said: PassThrough, begun: Promise<boolean>, exited: Promise<ExecExit>, kill: () => void): ExecSession => {
  const stdin: Writable = child.stdin ?? new PassThrough().resume();
  stdin.on('error', () => {}); // the process may end without reading all
  const stderr = new PassThrough();
  void begun.then((started) => (started ? said.pipe(stderr) : stderr.end()));
  return { stdin, stdout: child.stdout!, stderr, resize: () => {}, exited, close: kill };
};

const terminalSession = (
  fd: number,
  terminal: ReadStream,
  child: ChildProcess,
  begun: Promise<boolean>,
  exited: Promise<ExecExit>,
  kill: () => void,
): ExecSession => {
  const stdout = new PassThrough();
  void begun.then((started) => {
    if (!started) return stdout.end();
    terminal.on('data', (chunk: Buffer) => {
      if (!stdout.write(chunk)) terminal.pause();
    });
    return stdout.on('drain', () => terminal.resume());
  });
  const stdin = new TerminalInput(fd);
  stdin.on('error', () => {}); // the last process has closed the other end
  // The kernel answers EIO on the controlling end once the last process has closed the other: that is its end of file.
  const ends = (): void => {
    stdin.destroy();
    stdout.end();
  };
  terminal.on('error', ends);
  terminal.on('end', ends);
  terminal.on('close', ends);
  child.stdout!.resume();
  child.stderr!.resume();
  return {
    stdin,
    stdout,
    stderr: null,
    resize: (columns, rows) => setWindowSize(fd, columns, rows),
    exited,
    close: () => {
      kill();
      stdin.destroy();
      terminal.destroy();
    },
  };
};
