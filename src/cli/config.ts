/** The command line's configuration: environment and words before the command, compiled once. The only reader of the environment in it. */
import { isAbsolute, join, resolve } from 'node:path';
import { invalid } from '../base/errors.ts';
import { secretVariable } from '../model/names.ts';

export interface CliConfig {
  /** The instance's directory. */
  readonly root: string;
  readonly controlSocket: string;
  readonly agentSocket: string;
  /** Where profiles are. */
  readonly profiles: string;
  /** Which was asked for here: by a flag, by the environment, or neither; `local` is none. */
  readonly profile: string | undefined;
  /** The instance on this host was asked for, so that no profile counts that was not. */
  readonly here: boolean;
  /** The SSH agent's socket. */
  readonly sshAgent: string | undefined;
  /** Of an access key, for profiles that name no file with one. */
  readonly secret: string | undefined;
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
/** What stands for no profile: the instance on this host. */
export const localProfile = 'local';

/** Reads the words before the command: `--root DIR`, `--agent` and `--profile NAME`. */
export const compileConfig = (argv: readonly string[], environment: Readonly<Record<string, string | undefined>> = process.env): Words => {
  let root = environment['CENOTE_ROOT'] || defaultRoot;
  let agent = false;
  let here = Boolean(environment['CENOTE_ROOT']);
  let profile: string | undefined;
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === '--agent') agent = true;
    else if (word === '--root' || word.startsWith('--root=')) {
      root = valueOf('--root', 'a directory', word === '--root' ? argv[++at] : word.slice('--root='.length));
      here = true;
    } else if (word === '--profile' || word.startsWith('--profile='))
      profile = valueOf('--profile', 'a name', word === '--profile' ? argv[++at] : word.slice('--profile='.length));
    else break;
  }
  if (profile !== undefined && profile !== localProfile && argv.slice(0, at).some((word) => /^--(root|agent)/.test(word)))
    throw invalid('--profile', '--root and --agent are of this host, and a profile is of another');
  if (!here && !agent) profile ??= environment['CENOTE_PROFILE'] || undefined;
  root = isAbsolute(root) ? resolve(root) : resolve(process.cwd(), root);
  const noColour = environment['NO_COLOR'];
  const config: CliConfig = Object.freeze({
    root,
    controlSocket: socketPath(root, 'control.sock'),
    agentSocket: socketPath(root, 'agent.sock'),
    profiles: join(environment['XDG_CONFIG_HOME'] || join(environment['HOME'] || '/', '.config'), 'cenote'),
    profile,
    here: here || agent,
    sshAgent: environment['SSH_AUTH_SOCK'] || undefined,
    secret: environment[secretVariable] || undefined,
    startAdvice: `start it with: sudo cenote${root === defaultRoot ? '' : ` --root ${root}`} up`,
    agent,
    colour: noColour === undefined || noColour === '',
    term: environment['TERM'] || 'xterm',
    debug: Boolean(environment['CENOTE_DEBUG']),
  });
  return { config, words: argv.slice(at) };
};

const valueOf = (flag: string, what: string, text: string | undefined): string => {
  if (text === undefined || text === '' || text.startsWith('-')) throw invalid(flag, `needs ${what}`);
  return text;
};

/** The kernel cuts socket paths at 107 bytes, without a word; a longer one must be refused here. */
const socketPath = (root: string, name: string): string => {
  const path = join(root, 'run', name);
  if (Buffer.byteLength(path) > 107) throw invalid('--root', `${root} is too long: its sockets' paths would be over 107 bytes`);
  return path;
};
