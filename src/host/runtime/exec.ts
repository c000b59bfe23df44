/**
 * Running one more process in a machine, with pipes or with a terminal of its own. When the session closes, the process is ended.
 *
 * The runtime writes the process's pid once it has started, and ends without one when it could not start: then what it said on standard
 * error (or the terminal) is the reason and not the command's own output, and its exit status is no status of the command's.
 */
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { randomUUID } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import { ReadStream } from 'node:tty';
import { CenoteError } from '../../base/errors.ts';
import { within } from '../../base/within.ts';
import type { ExecExit, ExecStart } from '../../model/agent-api.ts';
import { start } from '../../exec/run.ts';
import { isErrno } from '../../sys/libc.ts';
import { TerminalInput } from '../../sys/terminal-input.ts';
import { listenForConsole, setWindowSize } from '../../sys/terminal.ts';
import type { ConsoleListener } from '../../sys/terminal.ts';
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

const terminalTimeoutMs = 10_000;
const startPollMs = 5;
/** A runtime says within some 20 ms which process it has begun. */
const saysSoMs = 1000;
const endPollMs = 100;
const longestEndMs = 10_000;
/** What there is of one that somebody waits for, who is gone when the agent is; and of one that goes on without. */
const prefixes = { attended: 's', unattended: 'u' } as const;
/** As shells have it: 127 where there is no such program, 126 where it cannot be run. */
const [noSuchProgram, notRun] = [127, 126];

export const execInMachine = async ({ program, state, directory, machine, request, process: as, oomScoreAdj }: ExecRequest): Promise<ExecSession> => {
  const name = join(directory, `${prefixes[as.isUnattended === true ? 'unattended' : 'attended']}${randomUUID().slice(0, 8)}`);
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
  const tidy = () => {
    for (const file of [processFile, pidFile, socket]) rmSync(file, { force: true });
  };
  // The runtime passes over the specification's oomScoreAdj, and hands down what it has from the agent, which is the host's last to be killed.
  const args = ['-n', String(oomScoreAdj), '--', program, '--root', state, 'exec', '--process', processFile, '--pid-file', pidFile];
  if (request.tty) args.push('--tty', '--console-socket', socket);
  let terminal: number | null = null;
  let running: Running | null = null;
  try {
    writeFileSync(processFile, JSON.stringify(specification), { mode: 0o600 });
    using listener = request.tty ? listenForConsole(socket) : null;
    running = watched(start('choom', [...args, machine], { stdio: [request.stdin && !request.tty ? 'pipe' : 'ignore', 'pipe', 'pipe'] }), pidFile);
    if (listener !== null) terminal = await receiveTerminal(listener, running.child);
  } catch (error) {
    try {
      if (running !== null) await end(running);
    } finally {
      tidy();
    }
    throw error;
  }
  const { child, begun } = running;
  // Held from the first moment: what nobody reads when a child ends, Node throws away.
  const said = terminal === null ? child.stderr!.pipe(new PassThrough()) : new ReadStream(terminal);
  const exited = exitOf(running, said, request.command[0] ?? '').finally(tidy);
  const close = async (): Promise<void> => {
    await end(running);
    // What the command has left running may hold them open for ever.
    for (const stream of [child.stdout!, child.stderr!, said]) stream.destroy();
  };
  return terminal === null
    ? pipeSession(child, said as PassThrough, begun, exited, close)
    : terminalSession(terminal, said as ReadStream, child, begun, exited, close);
};

/** How the runtime ended; what it was given as exit status is the command's, if that was started. */
interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  error?: Error;
}

/** A call of the runtime. */
interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** The process that it has started in the machine, once that is known; null when it has started none. */
  begun: Promise<number | null>;
}

/** Heard from the first moment: it may have ended before its terminal is here. */
const watched = (child: ChildProcess, pidFile: string): Running => {
  const ended = endOf(child);
  return { child, ended, begun: begunOf(ended, pidFile) };
};

const endOf = (child: ChildProcess): Promise<Ended> =>
  new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, error }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });

const begunOf = (ended: Promise<Ended>, pidFile: string): Promise<number | null> =>
  new Promise((resolve) => {
    const settle = (pid: number | null): void => {
      clearInterval(poll);
      resolve(pid);
    };
    const poll = setInterval(() => {
      const pid = pidIn(pidFile);
      if (pid !== null) settle(pid);
    }, startPollMs);
    void ended.then(() => settle(pidIn(pidFile)));
  });

/** Null while there is none: the file is empty for a moment before the pid is in it, and a signal to 0 would be for the agent itself. */
const pidIn = (file: string): number | null => {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null; // not yet; whatever else is wrong, nobody hears it here
  }
};

/**
 * Ends the process and the runtime that waits for it. The runtime is not killed before it has said which process that is: it says so only
 * when the process runs already, which nobody would then know of. One that does not say so (root in the machine may have stopped the process
 * before it ran) has its children killed, of which the process is one or will be; killed are those of a machine that stands still, too.
 */
const end = async ({ child, ended, begun }: Running): Promise<void> => {
  const pid = await within(begun, saysSoMs);
  const isOver = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  // It ends right after it has reaped the process, so the pid is no other's.
  if (pid !== null && !isOver()) killIfThere(pid);
  for (const deadline = performance.now() + longestEndMs; pid === null && !isOver() && performance.now() < deadline; await within(ended, endPollMs))
    for (const one of childrenOf(child.pid!)) killIfThere(one);
  child.kill('SIGKILL');
  await ended;
};

const childrenOf = (pid: number): number[] => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter(Boolean);
  } catch {
    return []; // it has ended, or the kernel does not tell
  }
};

/** Of a former agent, whose sessions ended with it: processes that are still in the machine. `isIn` says whether a process is. */
export const endLeftSessions = (directory: string, isIn: (pid: number) => boolean): void => {
  for (const file of readdirSync(directory)) {
    if (!file.startsWith(prefixes.attended) || !file.endsWith('.pid')) continue;
    const pid = pidIn(join(directory, file));
    if (pid !== null && isIn(pid)) killIfThere(pid);
    rmSync(join(directory, file), { force: true });
  }
};

const killIfThere = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
};

/** The runtime either passes the terminal or ends with an error on its own output. */
const receiveTerminal = async (listener: ConsoleListener, child: ChildProcess): Promise<number> => {
  let said = '';
  let code: number | string | null | undefined;
  child.stderr!.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-4096)));
  child.once('error', (error) => (code = error.message));
  child.once('close', (status) => (code ??= status));
  for (const deadline = performance.now() + terminalTimeoutMs; performance.now() < deadline; await sleep(startPollMs)) {
    // In this order: one that has ended may have passed the terminal before, and spoken there.
    const hasEnded = code !== undefined;
    const terminal = listener.receive();
    if (terminal !== undefined) return terminal;
    if (hasEnded) throw new CenoteError('failed', `the process could not be started: ${cleanMessage(said) || `code ${code}`}`);
  }
  throw new CenoteError('failed', `the process could not be started: the runtime has passed no terminal in ${terminalTimeoutMs / 1000} s`);
};

/** The runtime's last line, without its time and colours. */
const cleanMessage = (text: string): string =>
  stripVTControlCharacters(text)
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^\S+Z: /, '') ?? '';

const exitOf = async ({ ended, begun }: Running, said: Readable, program: string): Promise<ExecExit> => {
  const { code, signal, error } = await ended;
  if (error !== undefined) return { code: notRun, error: error.message };
  if ((await begun) !== null || signal !== null) return signal === null ? { code: code ?? 0 } : { code: 137 };
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

const pipeSession = (
  child: ChildProcess,
  said: PassThrough,
  begun: Promise<number | null>,
  exited: Promise<ExecExit>,
  close: () => Promise<void>,
): ExecSession => {
  const stdin: Writable = child.stdin ?? new PassThrough().resume();
  stdin.on('error', () => {}); // the process may end without reading all
  const stderr = new PassThrough();
  void begun.then((pid) => (pid === null ? stderr.end() : said.pipe(stderr)));
  return { stdin, stdout: child.stdout!, stderr, resize: () => {}, exited, close };
};

const terminalSession = (
  fd: number,
  terminal: ReadStream,
  child: ChildProcess,
  begun: Promise<number | null>,
  exited: Promise<ExecExit>,
  close: () => Promise<void>,
): ExecSession => {
  const stdout = new PassThrough();
  void begun.then((pid) => {
    if (pid === null) return stdout.end();
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
    resize: (columns, rows) => {
      // The number may be another's terminal already.
      if (!terminal.destroyed) setWindowSize(fd, columns, rows);
    },
    exited,
    close: () => {
      ends();
      terminal.destroy();
      return close();
    },
  };
};
