/**
 * What a command is: its arguments, flags, help and the function that does it. One such description serves parsing, help and
 * completion, and gives the function typed input. Nothing here does anything; parse.ts, help.ts and shell/ read it.
 */
import type { Context } from './context.ts';

/** What the shell may propose for a word. */
export type Completion =
  | 'machine'
  | 'machine path'
  | 'image'
  | 'package'
  | 'platform'
  | 'account'
  | 'profile'
  | 'snapshot'
  | 'firewall rule'
  | 'network'
  | 'file'
  | 'directory'
  | 'none'
  | readonly string[];

/** Turns a word into a value, or throws `invalid(field, …)`. */
export type Parse<T> = (field: string, text: string) => T;

interface FlagText {
  about: string;
  /** One letter: `f` for `-f`. */
  short?: string;
  complete?: Completion;
}
export interface SwitchFlag extends FlagText {
  kind: 'switch';
  /** The flag that says what is done without this one, for who wants to say so: `--wait`. */
  otherwise?: string;
}
export interface ValueFlag<T> extends FlagText {
  kind: 'value';
  placeholder: string;
  parse: Parse<T>;
}
export interface ManyFlag<T> extends FlagText {
  kind: 'many';
  placeholder: string;
  parse: Parse<T>;
}
export type Flag = SwitchFlag | ValueFlag<unknown> | ManyFlag<unknown>;
export type Flags = Record<string, Flag>;

export interface Argument {
  kind: 'one' | 'optional' | 'some' | 'any';
  placeholder: string;
  complete: Completion;
}
export type Arguments = Record<string, Argument>;

export type FlagValue<F> = F extends SwitchFlag ? boolean : F extends ManyFlag<infer T> ? T[] : F extends ValueFlag<infer T> ? T | undefined : never;
export type ArgumentValue<A> = A extends { kind: 'one' } ? string : A extends { kind: 'optional' } ? string | undefined : string[];

export interface Input<A extends Arguments, F extends Flags> {
  args: { [K in keyof A]: ArgumentValue<A[K]> };
  flags: { [K in keyof F]: FlagValue<F[K]> } & { json: boolean };
  /** The words after `--`. */
  command: string[];
}

export interface Command<A extends Arguments = Arguments, F extends Flags = Flags> {
  /** More than the summary (which stands in commands.ts), for `--help`. */
  detail?: string;
  args: A;
  flags: F;
  /**
   * `after-dashes`: words after `--` are a command. `greedy`: also all words after the last argument, so that
   * `exec web ls -l` needs no dashes.
   */
  trailing?: 'after-dashes' | 'greedy';
  /** For flags that people know from elsewhere: what to do instead. */
  otherFlags?: Readonly<Record<string, string>>;
  /** Lines as a person would type them, without the leading `cenote `. */
  examples: readonly string[];
  /** The number is the exit status; none is 0. */
  run: (input: Input<A, F>, context: Context) => Promise<number | void>;
}

/** What is known of a command without the types of its input. */
export type AnyCommand = Omit<Command, 'run'> & { run: (input: never, context: Context) => Promise<number | void> };

/** Infers the input's types from the description. */
export const defineCommand = <const A extends Arguments, const F extends Flags>(command: Command<A, F>): Command<A, F> => command;

type Options = Omit<FlagText, 'about'>;
const text: Parse<string> = (_field, word) => word;

export const toggle = (about: string, options: Options & Pick<SwitchFlag, 'otherwise'> = {}): SwitchFlag => ({ kind: 'switch', about, ...options });
export const value = (placeholder: string, about: string, options: Options = {}): ValueFlag<string> => ({
  kind: 'value',
  placeholder,
  about,
  parse: text,
  ...options,
});
export const parsed = <T>(placeholder: string, parse: Parse<T>, about: string, options: Options = {}): ValueFlag<T> => ({
  kind: 'value',
  placeholder,
  about,
  parse,
  ...options,
});
export const many = <T>(placeholder: string, parse: Parse<T>, about: string, options: Options = {}): ManyFlag<T> => ({
  kind: 'many',
  placeholder,
  about,
  parse,
  ...options,
});

export const one = (placeholder: string, complete: Completion = 'none') => ({ kind: 'one', placeholder, complete }) as const;
export const optional = (placeholder: string, complete: Completion = 'none') => ({ kind: 'optional', placeholder, complete }) as const;
export const some = (placeholder: string, complete: Completion = 'none') => ({ kind: 'some', placeholder, complete }) as const;
export const any = (placeholder: string, complete: Completion = 'none') => ({ kind: 'any', placeholder, complete }) as const;

/** `cpuCeiling` is written `--cpu-ceiling`. */
export const flagName = (key: string): string => `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Flags every command has. */
export const commonFlags = {
  json: { kind: 'switch', about: 'print JSON as the API gives it' },
  help: { kind: 'switch', about: 'show this help', short: 'h' },
} as const satisfies Flags;
