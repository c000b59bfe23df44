/** Words to typed input, by a command's description. Every refusal names the flag or argument at fault. */
import { CenoteError, invalid } from '../base/errors.ts';
import { commonFlags, flagName } from './command.ts';
import type { AnyCommand, Argument, Flag } from './command.ts';
import { closest } from './suggest.ts';

export interface ParsedInput {
  help: boolean;
  args: Record<string, string | string[] | undefined>;
  flags: Record<string, unknown>;
  command: string[];
}

/** Where a command's flags and arguments are gathered while its words are read. */
class Reader {
  readonly flags: Record<string, unknown> = {};
  readonly words: string[] = [];
  command: string[] = [];
  readonly #keys = new Map<string, string>();
  readonly #opposites = new Map<string, string>();
  readonly #all: Record<string, Flag>;
  readonly #others: Readonly<Record<string, string>>;

  constructor({ flags, otherFlags }: Pick<AnyCommand, 'flags' | 'otherFlags'>) {
    this.#all = { ...flags, ...commonFlags };
    this.#others = otherFlags ?? {};
    for (const [key, flag] of Object.entries(this.#all)) {
      this.#keys.set(flagName(key), key);
      if (flag.short !== undefined) this.#keys.set(`-${flag.short}`, key);
      if (flag.kind === 'switch') {
        this.flags[key] = false;
        if (flag.otherwise !== undefined) this.#opposites.set(flag.otherwise, key);
      }
      if (flag.kind === 'many') this.flags[key] = [];
    }
  }

  /** Takes one flag, and its value from `next` where it has one that is not joined with `=`. */
  long(word: string, next: () => string | undefined): void {
    const equals = word.indexOf('=');
    const name = equals < 0 ? word : word.slice(0, equals);
    this.#take(name, equals < 0 ? undefined : word.slice(equals + 1), next);
  }

  /** `-it` is `-i -t`; `-n5` is `-n 5`. */
  short(word: string, next: () => string | undefined): void {
    for (let at = 1; at < word.length; at++) {
      const name = `-${word[at]}`;
      const rest = word.slice(at + 1);
      if (this.#flagOf(name).flag.kind !== 'switch') return this.#take(name, rest === '' ? undefined : rest.replace(/^=/, ''), next);
      this.#take(name, undefined, next);
    }
  }

  #flagOf(name: string): { key: string; flag: Flag } {
    const key = this.#keys.get(name) ?? this.#opposites.get(name);
    if (key !== undefined) return { key, flag: this.#all[key]! };
    if (name === '--root' || name === '--agent') throw invalid(name, 'goes before the command', `write: cenote ${name} … COMMAND`);
    const instead = Object.hasOwn(this.#others, name) ? this.#others[name] : undefined;
    const near = closest(name, [...this.#keys.keys()]);
    throw new CenoteError('invalid_argument', `unknown flag ${name}`, {
      fields: [{ field: name, message: 'unknown flag' }],
      advice: instead ?? (near === undefined ? 'see the flags with --help' : `did you mean ${near}?`),
    });
  }

  #take(name: string, joined: string | undefined, next: () => string | undefined): void {
    const { key, flag } = this.#flagOf(name);
    if (flag.kind === 'switch') {
      if (joined !== undefined) throw invalid(name, 'takes no value');
      this.flags[key] = !this.#opposites.has(name);
      return;
    }
    const text = joined ?? next();
    if (text === undefined) throw invalid(name, `needs a value (${flag.placeholder})`);
    const parsed = flag.parse(name, text);
    if (flag.kind === 'many') (this.flags[key] as unknown[]).push(parsed);
    else if (this.flags[key] !== undefined) throw invalid(name, 'is given twice');
    else this.flags[key] = parsed;
  }
}

const isFlag = (word: string): boolean => word.length > 1 && word.startsWith('-');

export const parseWords = (command: AnyCommand, words: readonly string[]): ParsedInput => {
  const reader = new Reader(command);
  const greedyAfter = command.trailing === 'greedy' ? Object.keys(command.args).length : Number.POSITIVE_INFINITY;
  let at = 0;
  const next = (): string | undefined => {
    const word = words[at];
    // A value that looks like a flag is one that was forgotten; `--flag=-x` says it is meant.
    return word === undefined || (isFlag(word) && !/^-\d/.test(word)) ? undefined : words[at++];
  };
  while (at < words.length) {
    const word = words[at++]!;
    if (word === '--') {
      reader.command = words.slice(at);
      break;
    }
    if (isFlag(word)) {
      if (word.startsWith('--')) reader.long(word, next);
      else reader.short(word, next);
    } else if (reader.words.length >= greedyAfter) {
      reader.command = words.slice(at - 1);
      break;
    } else reader.words.push(word);
  }
  const { help, ...flags } = reader.flags;
  if (help === true) return { help: true, args: {}, flags, command: [] };
  if (command.trailing === undefined && reader.command.length > 0) {
    // Without a command to give, `--` only says that what follows are arguments, whatever they look like.
    reader.words.push(...reader.command.splice(0));
  }
  return { help: false, args: bindArguments(command.args, reader.words), flags, command: reader.command };
};

/** Arguments by their names: single ones first, then at most one list. */
const bindArguments = (described: Record<string, Argument>, words: readonly string[]): Record<string, string | string[] | undefined> => {
  const bound: Record<string, string | string[] | undefined> = {};
  let at = 0;
  for (const [name, argument] of Object.entries(described)) {
    if (argument.kind === 'some' || argument.kind === 'any') {
      bound[name] = words.slice(at);
      at = words.length;
      if (argument.kind === 'some' && bound[name].length === 0) throw missing(argument);
      continue;
    }
    const word = words[at++];
    if (word === undefined && argument.kind === 'one') throw missing(argument);
    bound[name] = word;
  }
  if (at < words.length) {
    throw new CenoteError('invalid_argument', `too many arguments: ${JSON.stringify(words[at])} is one too many`, { advice: 'see the usage with --help' });
  }
  return bound;
};

const missing = (argument: Argument): CenoteError =>
  new CenoteError('invalid_argument', `${argument.placeholder} is missing`, {
    fields: [{ field: argument.placeholder, message: 'is missing' }],
    advice: 'see the usage with --help',
  });
