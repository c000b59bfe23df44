import type { ExecStart } from '../../model/agent-api.ts';
import { CenoteError } from '../../base/errors.ts';
import { jsonLine } from '../../base/json-lines.ts';
import { defineCommand, many, one, toggle, value } from '../command.ts';
import type { Context } from '../context.ts';
import type { Output } from '../output.ts';
import { interruptedExit } from '../context.ts';
import { selectMachine } from '../select.ts';
import { takeTerminal } from '../terminal.ts';
import { pairsToRecord, parseEnv } from '../values.ts';
import type { ExecSession } from './exec-session.ts';

export const command = defineCommand({
  detail:
    "The exit status is the command's. With -t its terminal is ours, with our window's size. With --json a line of JSON for each piece of output, and one for the exit.",
  args: { name: one('NAME', 'machine') },
  flags: {
    interactive: toggle('give it our standard input', { short: 'i' }),
    tty: toggle('give it a terminal', { short: 't' }),
    env: many('K=V', parseEnv, 'environment variable', { short: 'e' }),
    user: value('USER', 'user in the machine (name or number)', { short: 'u' }),
    workdir: value('DIR', 'working directory', { short: 'w', complete: 'none' }),
  },
  trailing: 'greedy',
  examples: ['exec web -- ls -l /app', 'exec -it web -- bash', 'exec db -u postgres -- psql -c "select 1"', 'exec -i web -- tar -x -C /srv < site.tar'],
  run: async ({ args, flags, command: words }, context) => {
    if (words.length === 0)
      throw new CenoteError('invalid_argument', 'COMMAND is missing', { advice: `write it after --, such as: cenote exec ${args.name} -- ls` });
    const { config, output } = context;
    if (flags.tty && !process.stdin.isTTY && flags.interactive)
      throw new CenoteError('invalid_argument', '--tty: our standard input is not a terminal', { advice: 'leave -t away, or give only -t' });
    if (flags.tty && flags.json)
      throw new CenoteError('invalid_argument', '--tty: a terminal shows itself, and is not told in JSON', { advice: 'leave -t or --json away' });
    const machine = await selectMachine(context, args.name);
    const start: ExecStart = {
      command: words,
      tty: flags.tty,
      stdin: flags.interactive,
      env: { ...(flags.tty ? { TERM: config.term } : {}), ...pairsToRecord(flags.env) },
      ...(flags.user === undefined ? {} : { user: flags.user }),
      ...(flags.workdir === undefined ? {} : { workingDirectory: flags.workdir }),
      ...(flags.tty ? output.size : {}),
    };
    return runExec(context, machine.id, start, flags.json ? new JsonOutput(output) : undefined);
  },
});

const runExec = async (context: Context, machineId: string, start: ExecStart, told: JsonOutput | undefined): Promise<number> => {
  const { openExec } = await import('./exec-session.ts');
  const { output, signal } = context;
  const writes = new WriteQueue((to, bytes) => (told === undefined ? output.bytes(bytes, to) : told.piece(to, bytes)));
  const handlers = { onOutput: (to: 'stdout' | 'stderr', bytes: Buffer) => writes.push(to, bytes) };
  using session = await openExec((await context.control()).http, machineId, start, handlers, signal);
  writes.attach(session);
  // Raw only once there is something to talk to, so that a refusal finds the terminal as it was.
  using _terminal = start.tty ? takeTerminal({ raw: start.stdin, onResize: () => session.resize(output.size) }) : undefined;
  using _input = start.stdin ? forwardInput(session) : undefined;
  try {
    const exit = await session.exit;
    await writes.empty();
    await told?.end(exit.code);
    if (exit.error !== undefined) output.error(new CenoteError('failed', exit.error));
    return exit.code;
  } catch (error) {
    if (signal.aborted) return interruptedExit;
    throw error;
  }
};

/** Pieces of output and the exit as lines of JSON. A character cut between two pieces is in the second. */
class JsonOutput {
  readonly #output: Output;
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };

  constructor(output: Output) {
    this.#output = output;
  }

  piece(stream: 'stdout' | 'stderr', bytes: Buffer): Promise<void> {
    return this.#text(stream, this.#decoders[stream].decode(bytes, { stream: true }));
  }

  async end(exitCode: number): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) await this.#text(stream, this.#decoders[stream].decode());
    await this.#line({ exitCode });
  }

  async #text(stream: 'stdout' | 'stderr', text: string): Promise<void> {
    if (text !== '') await this.#line({ stream, text });
  }

  #line(value: object): Promise<void> {
    return this.#output.bytes(Buffer.from(jsonLine(value)));
  }
}

const highWater = 1024 * 1024;

/** Our output in order, with back-pressure on the machine when the reader of our output is slow. */
class WriteQueue {
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #session: ExecSession | undefined;
  readonly #write: (to: 'stdout' | 'stderr', bytes: Buffer) => Promise<void>;

  constructor(write: (to: 'stdout' | 'stderr', bytes: Buffer) => Promise<void>) {
    this.#write = write;
  }

  attach(session: ExecSession): void {
    this.#session = session;
  }

  push(to: 'stdout' | 'stderr', bytes: Buffer): void {
    this.#waiting += bytes.length;
    if (this.#waiting > highWater) this.#session?.pause();
    this.#tail = this.#tail.then(async () => {
      await this.#write(to, bytes);
      this.#waiting -= bytes.length;
      if (this.#waiting < highWater / 2) this.#session?.resume();
    });
  }

  empty(): Promise<void> {
    return this.#tail;
  }
}

/** Our standard input to the machine, until either ends. */
const forwardInput = (session: ExecSession): Disposable => {
  const { stdin } = process;
  const onData = (chunk: Buffer): void => {
    stdin.pause();
    void session.write(chunk).then(() => stdin.resume());
  };
  const onEnd = (): void => session.endInput();
  stdin.on('data', onData);
  stdin.on('end', onEnd);
  return {
    [Symbol.dispose]: () => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      stdin.pause();
      // A pipe that is still open would keep the process; a file is no such thing, and has no unref.
      if ('unref' in stdin) stdin.unref();
    },
  };
};
