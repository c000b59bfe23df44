/** The command line's configuration: environment and words before the command, compiled once. The only reader of the environment in it. */
import { isAbsolute, join, resolve } from 'node:path';
import { invalid } from '../base/errors.ts';

export interface CliConfig {
  /** The instance's directory. */
  readonly root: string;
  readonly controlSocket: string;
  readonly agentSocket: string;
  /** What to do when nothing answers. */
  readonly startAdvice: string;
  /** Talk to the agent and not to the control plane. */
  readonly agent: boolean;
  /** Colour is wanted where the output is a terminal. */
  readonly colour: boolean;
  /** The terminal's kind, given to programs in `exec -t`. */
  readonly term: string;
  /** Show stack traces of errors that are not the user's. */
  readonly debug: boolean;
}

export interface Words {
  config: CliConfig;
  /** The command and what follows it. */
  words: string[];
}

const defaultRoot = '/var/lib/cenote';

/** Reads the words before the command: `--root DIR` and `--agent`. */
export const compileConfig = (argv: readonly string[], environment: Readonly<Record<string, string | undefined>> = process.env): Words => {
  let root = environment['CENOTE_ROOT'] || defaultRoot;
  let agent = false;
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === '--agent') agent = true;
    else if (word === '--root') root = rootValue(argv[++at]);
    else if (word.startsWith('--root=')) root = rootValue(word.slice('--root='.length));
    else break;
  }
  root = isAbsolute(root) ? resolve(root) : resolve(process.cwd(), root);
  const noColour = environment['NO_COLOR'];
  const config: CliConfig = Object.freeze({
    root,
    controlSocket: socketPath(root, 'control.sock'),
    agentSocket: socketPath(root, 'agent.sock'),
    startAdvice: `start it with: sudo cenote${root === defaultRoot ? '' : ` --root ${root}`} up`,
    agent,
    colour: noColour === undefined || noColour === '',
    term: environment['TERM'] || 'xterm',
    debug: Boolean(environment['CENOTE_DEBUG']),
  });
  return { config, words: argv.slice(at) };
};

const rootValue = (text: string | undefined): string => {
  if (text === undefined || text === '' || text.startsWith('-')) throw invalid('--root', 'needs a directory');
  return text;
};

/** The kernel cuts socket paths at 107 bytes, without a word; a longer one must be refused here. */
const socketPath = (root: string, name: string): string => {
  const path = join(root, 'run', name);
  if (Buffer.byteLength(path) > 107) throw invalid('--root', `${root} is too long: its sockets' paths would be over 107 bytes`);
  return path;
};
