/**
 * Starting a program without a copy of this process. Node forks, which copies the page tables of a process that has hundreds of MiB
 * mapped and makes it fault on every page it writes afterwards: 3-5 ms of the one thread that serves everybody. posix_spawn(3) shares the
 * memory until the program is there, and the caller stands still for that long: a thread of the pool does. For the one program that
 * every start of a machine needs; all others go through src/exec.
 *
 * The program's standard streams are /dev/null; signals are as they are by default, none blocked.
 */
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { SystemCallError, closeFd, declare, resultOf } from './libc.ts';

const spawnFunction = declare('int posix_spawn(void* pid, const char* path, void* actions, void* attributes, const char** argv, const char** env)');
const actionsInit = declare('int posix_spawn_file_actions_init(void* actions)');
const actionsDestroy = declare('int posix_spawn_file_actions_destroy(void* actions)');
const actionsOpen = declare('int posix_spawn_file_actions_addopen(void* actions, int fd, const char* path, int flags, unsigned int mode)');
const actionsDuplicate = declare('int posix_spawn_file_actions_adddup2(void* actions, int fd, int target)');
const attributesInit = declare('int posix_spawnattr_init(void* attributes)');
const attributesDestroy = declare('int posix_spawnattr_destroy(void* attributes)');
const attributesFlags = declare('int posix_spawnattr_setflags(void* attributes, short flags)');
const attributesDefault = declare('int posix_spawnattr_setsigdefault(void* attributes, void* set)');
const attributesMask = declare('int posix_spawnattr_setsigmask(void* attributes, void* set)');
const pipeFunction = declare('int pipe2(void* ends, int flags)');
const waitFunction = declare('int waitpid(int pid, void* status, int options)');

const setDefaultSignals = 4;
const setSignalMask = 8;
const closeOnExec = 0o2000000;
const readWrite = 2;
const noHang = 1;
const longestPauseMs = 100;
/** Larger than glibc's types on every architecture (80, 336 and 128 bytes). */
const roomBytes = 1024;

export interface Spawned {
  pid: number;
  /** What the program writes to the descriptor that was asked for. */
  output: Socket;
  /** Its end, once taken notice of; the process is a zombie until then. */
  ended: Promise<void>;
}

/** These functions give the error back; `errno` is not set. */
const demand = (what: string, error: unknown): void => {
  if (error !== 0) throw new SystemCallError(what, error as number);
};

/** `outputFd`: the number under which the program finds the pipe to us. */
export const spawnWithPipe = async (program: string, args: readonly string[], env: Readonly<Record<string, string>>, outputFd: number): Promise<Spawned> => {
  const ends = Buffer.alloc(8);
  if (pipeFunction(ends, closeOnExec) !== 0) throw new Error('no pipe: too many open files');
  const [ours, theirs] = [ends.readInt32LE(0), ends.readInt32LE(4)];
  let pid: number;
  try {
    pid = await spawn(program, args, env, theirs, outputFd);
  } catch (error) {
    closeFd(ours);
    throw error;
  } finally {
    closeFd(theirs);
  }
  return { pid, output: new Socket({ fd: ours, readable: true, writable: false }), ended: endOf(pid) };
};

/** Asked again and again, since a wait would keep a thread of the pool: for programs that end within milliseconds. */
const endOf = async (pid: number): Promise<void> => {
  for (let pauseMs = 1; waitFunction(pid, null, noHang) === 0; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) await sleep(pauseMs);
};

const spawn = async (program: string, args: readonly string[], env: Readonly<Record<string, string>>, pipe: number, target: number): Promise<number> => {
  const actions = Buffer.alloc(roomBytes);
  const attributes = Buffer.alloc(roomBytes);
  const [everySignal, noSignal] = [Buffer.alloc(128, 0xff), Buffer.alloc(128)];
  demand('file actions', actionsInit(actions));
  demand('spawn attributes', attributesInit(attributes));
  try {
    for (const fd of [0, 1, 2]) demand('open /dev/null', actionsOpen(actions, fd, '/dev/null', readWrite, 0));
    demand('pass the pipe', actionsDuplicate(actions, pipe, target));
    demand('spawn flags', attributesFlags(attributes, setDefaultSignals | setSignalMask));
    demand('default signals', attributesDefault(attributes, everySignal));
    demand('signal mask', attributesMask(attributes, noSignal));
    const pid = Buffer.alloc(4);
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    demand(`start ${program}`, await resultOf(spawnFunction, pid, program, actions, attributes, [program, ...args, null], [...variables, null]));
    return pid.readInt32LE(0);
  } finally {
    actionsDestroy(actions);
    attributesDestroy(attributes);
  }
};
