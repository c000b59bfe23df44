/** The command line's entry: finds the command, gives it its input, and turns what it throws into a line and an exit status. */
import { asCenoteError, CenoteError, errorCodes, messageOf } from '../base/errors.ts';
import type { AnyCommand } from './command.ts';
import { allCommands, otherWords } from './commands.ts';
import { compileConfig } from './config.ts';
import type { CliConfig, Words } from './config.ts';
import { Interrupted, interruptedExit } from './context.ts';
import type { Context } from './context.ts';
import { inFlags } from './field-flags.ts';
import { endWithReader, Output } from './output.ts';
import { parseWords } from './parse.ts';
import { chosenProfile } from './profile/store.ts';
import { closest } from './suggest.ts';

const completing = '__complete';
const agentCommands = new Set(['ls', 'get', 'stop']);
const hostCommands = new Set(['up', 'down', 'destroy', 'doctor']);

interface Found {
  name: string;
  summary: string;
  command: AnyCommand;
  rest: string[];
}

const findCommand = async (words: readonly string[]): Promise<Found> => {
  const commands = allCommands();
  const [first = '', second] = words;
  const name = [3, 2].map((count) => words.slice(0, count).join(' ')).find((joined) => Object.hasOwn(commands, joined)) ?? first;
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) {
    const isNoun = Object.keys(commands).some((command) => command.startsWith(`${first} ${second} `));
    throw isNoun ? unknownCommand(`${first} ${second}`, words[2], Object.keys(commands)) : unknownCommand(first, second, Object.keys(commands));
  }
  return { name, summary: entry.summary, command: await entry.load(), rest: words.slice(name.split(' ').length) };
};

const unknownCommand = (first: string, second: string | undefined, names: readonly string[]): CenoteError => {
  const verbs = names.filter((name) => name.startsWith(`${first} `)).map((name) => name.slice(first.length + 1));
  if (verbs.length > 0) {
    const near = second === undefined ? undefined : closest(second, verbs);
    const message = second === undefined || second.startsWith('-') ? `what about ${first}s?` : `unknown command ${first} ${second}`;
    return new CenoteError('invalid_argument', message, {
      advice: near === undefined ? `there are: ${verbs.map((verb) => `${first} ${verb}`).join(', ')}` : `did you mean ${first} ${near}?`,
    });
  }
  if (first.startsWith('-')) return new CenoteError('invalid_argument', `unknown flag ${first} before the command`, { advice: 'see: cenote --help' });
  const near =
    (Object.hasOwn(otherWords, first) ? otherWords[first] : undefined) ?? closest(first, [...new Set(names.flatMap((name) => [name, name.split(' ')[0]!]))]);
  return new CenoteError('invalid_argument', `unknown command ${JSON.stringify(first)}`, {
    advice: near === undefined ? 'see all: cenote --help' : `did you mean cenote ${near}?`,
  });
};

class Session implements Context, Disposable {
  readonly config: CliConfig;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly #stack = new DisposableStack();
  readonly #clients = new Map<string, Disposable>();

  constructor(config: CliConfig, output: Output, signal: AbortSignal) {
    this.config = config;
    this.output = output;
    this.signal = signal;
  }

  async control() {
    const name = chosenProfile(this.config);
    if (name !== undefined) {
      const { connectToNamed } = await import('./profile/connect.ts');
      const connected = this.#clients.has('control') ? undefined : await connectToNamed(name, this.config);
      return this.#once('control', () => connected!);
    }
    const { ControlClient } = await import('../client/control.ts');
    return this.#once('control', () => new ControlClient(this.config.controlSocket, this.config.startAdvice));
  }

  async agent() {
    const { AgentClient } = await import('../client/agent.ts');
    return this.#once('agent', () => new AgentClient(this.config.agentSocket, this.config.startAdvice));
  }

  #once<Client extends Disposable>(name: string, make: () => Client): Client {
    const client = (this.#clients.get(name) as Client | undefined) ?? this.#stack.use(make());
    this.#clients.set(name, client);
    return client;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

const run = async (words: readonly string[], context: Context): Promise<number> => {
  const [first] = words;
  if (first === completing) {
    const { propose } = await import('./shell/propose.ts');
    for (const proposal of await propose(words.slice(1), context)) context.output.line(proposal);
    return 0;
  }
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    const { overview } = await import('./help.ts');
    if (first === 'help' && words.length > 1) return run([...words.slice(1), '--help'], context);
    context.output.line(overview());
    return first === undefined ? errorCodes.invalid_argument.exit : 0;
  }
  if (first === '--version') return run(['version'], context);
  if (words[1] === '--help' || words[1] === '-h') {
    const { overview } = await import('./help.ts');
    if (Object.keys(allCommands()).some((name) => name.startsWith(`${first} `))) {
      context.output.line(overview(first));
      return 0;
    }
  }
  const { name, summary, command, rest } = await findCommand(words);
  const input = parseWords(command, rest);
  if (input.help) {
    const { commandHelp } = await import('./help.ts');
    context.output.line(commandHelp(name, summary, command));
    return 0;
  }
  if (context.config.agent && !agentCommands.has(name)) {
    throw new CenoteError('invalid_argument', `--agent: ${name} goes through the control plane`, {
      advice: `with --agent there are: ${[...agentCommands].join(', ')}`,
    });
  }
  if (hostCommands.has(name)) refuseElsewhere(name, context.config);
  try {
    // The description that typed the function's input also parsed it.
    return (await command.run(input as never, context)) ?? 0;
  } catch (error) {
    throw error instanceof CenoteError ? inFlags(error, command) : error;
  }
};

/** What is done to a host is done on it. */
const refuseElsewhere = (name: string, config: CliConfig): void => {
  const profile = chosenProfile(config);
  if (profile === undefined) return;
  throw new CenoteError('invalid_argument', `${name} is about the host it is called on, and the profile ${profile} is of another`, {
    advice: `for this host: cenote --profile local ${name}`,
  });
};

/** The first Ctrl-C asks the command to end; a second ends the process at once. */
const interrupts = (): AbortSignal => {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(interruptedExit);
    controller.abort(new CenoteError('failed', `ended by ${name}`));
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
  return controller.signal;
};

/** What a shell asks to have completed is for the instance that its own words name. */
const understand = (argv: readonly string[]): Words => {
  if (argv[0] !== completing) return compileConfig(argv);
  const typed = argv.slice(1);
  const flag = typed.at(-2);
  if ((flag === '--root' || flag === '--profile') && typed.length <= 3) return { ...compileConfig([]), words: [completing, flag, typed.at(-1)!] };
  const { config, words } = compileConfig(typed);
  return { config, words: [completing, ...words] };
};

const main = async (): Promise<number> => {
  let output = new Output(compileConfig([], {}).config);
  const signal = interrupts();
  try {
    const { config, words } = understand(process.argv.slice(2));
    output = new Output(config);
    using session = new Session(config, output, signal);
    return await run(words, session);
  } catch (error) {
    const known = asCenoteError(error);
    if (signal.aborted && !(known instanceof Interrupted)) {
      if (known.code !== 'internal' && known.code !== 'timeout' && known.message !== messageOf(signal.reason)) output.error(known);
      return interruptedExit;
    }
    output.error(
      known.code === 'internal' && known.cause !== undefined
        ? new CenoteError('internal', messageOf(known.cause), { cause: known.cause, advice: 'this is a fault of cenote; CENOTE_DEBUG=1 shows more' })
        : known,
    );
    return known instanceof Interrupted ? interruptedExit : errorCodes[known.code].exit;
  }
};

endWithReader();
// Not process.exit: what is still to be written to a pipe is written first.
process.exitCode = await main();
