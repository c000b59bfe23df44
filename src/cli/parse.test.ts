import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CenoteError } from '../base/errors.ts';
import { any, defineCommand, many, one, optional, parsed, some, toggle, value } from './command.ts';
import type { AnyCommand } from './command.ts';
import { parseCount } from './format.ts';
import { parseWords } from './parse.ts';
import { parseEnv } from './values.ts';

const flags = {
  follow: toggle('', { short: 'f' }),
  tty: toggle('', { short: 't' }),
  noWait: toggle('', { otherwise: '--wait' }),
  image: value('IMAGE', ''),
  cpuCeiling: value('CORES', ''),
  tail: parsed('N', parseCount(0, 100), '', { short: 'n' }),
  env: many('K=V', parseEnv, '', { short: 'e' }),
} as const;
const run = async (): Promise<void> => undefined;
const plain: AnyCommand = defineCommand({ args: { name: one('NAME'), more: any('MORE') }, flags, examples: [], run });
const trailing: AnyCommand = defineCommand({ args: { name: optional('NAME') }, flags, trailing: 'after-dashes', examples: [], run });
const greedy: AnyCommand = defineCommand({ args: { name: one('NAME') }, flags, trailing: 'greedy', examples: [], run });
const several: AnyCommand = defineCommand({ args: { names: some('NAME') }, flags: {}, examples: [], run });

const refused = (command: AnyCommand, words: string[]): CenoteError => {
  try {
    parseWords(command, words);
  } catch (error) {
    assert(error instanceof CenoteError);
    assert.equal(error.code, 'invalid_argument');
    return error;
  }
  throw new Error(`not refused: ${words.join(' ')}`);
};

describe('words of the command line', () => {
  it('are flags in any place, joined or not, and arguments', () => {
    const input = parseWords(plain, ['--image=node', 'web', '-ft', '--tail', '5', 'x', '--cpu-ceiling', '2', '-e', 'A=1', '--env=B=2=3', 'y']);
    assert.deepEqual(input.args, { name: 'web', more: ['x', 'y'] });
    assert.deepEqual(input.flags, {
      follow: true,
      tty: true,
      noWait: false,
      image: 'node',
      tail: 5,
      cpuCeiling: '2',
      json: false,
      env: [
        ['A', '1'],
        ['B', '2=3'],
      ],
    });
  });

  it('may say what is done anyway', () => {
    assert.equal(parseWords(plain, ['web', '--wait']).flags['noWait'], false);
    assert.equal(parseWords(plain, ['web', '--no-wait']).flags['noWait'], true);
  });

  it('may join a value to one letter', () => {
    assert.equal(parseWords(plain, ['web', '-n7']).flags['tail'], 7);
    assert.equal(parseWords(plain, ['web', '-fn7']).flags['tail'], 7);
    assert.equal(parseWords(plain, ['web', '-n=7']).flags['tail'], 7);
  });

  it('after -- are a command where one is wanted, arguments elsewhere', () => {
    assert.deepEqual(parseWords(trailing, ['web', '--', 'ls', '-l', '--', 'x']), {
      help: false,
      args: { name: 'web' },
      flags: parseWords(trailing, []).flags,
      command: ['ls', '-l', '--', 'x'],
    });
    assert.deepEqual(parseWords(plain, ['--', '-web']).args, { name: '-web', more: [] });
  });

  it('after the last argument are a command where it is greedy', () => {
    assert.deepEqual(parseWords(greedy, ['-t', 'web', 'ls', '-l', '--', '-x']).command, ['ls', '-l', '--', '-x']);
    assert.deepEqual(parseWords(greedy, ['web', '-t', '--', 'ls']).command, ['ls']);
    assert.equal(parseWords(greedy, ['web', '-t', '--', 'ls']).flags['tty'], true);
  });

  it('are refused with the flag or argument at fault', () => {
    assert.match(refused(plain, ['web', '--imge', 'x']).message, /unknown flag --imge/);
    assert.equal(refused(plain, ['web', '--imge', 'x']).advice, 'did you mean --image?');
    assert.match(refused(plain, ['web', '--image']).message, /--image: needs a value/);
    assert.match(refused(plain, ['web', '--image', '--tail', '3']).message, /--image: needs a value/);
    assert.match(refused(plain, ['web', '--follow=yes']).message, /--follow: takes no value/);
    assert.match(refused(plain, ['web', '--image', 'a', '--image', 'b']).message, /--image: is given twice/);
    assert.match(refused(plain, ['web', '--tail', 'many']).message, /--tail: "many" is not a whole number/);
    assert.match(refused(plain, ['web', '-z']).message, /unknown flag -z/);
    assert.match(refused(plain, []).message, /NAME is missing/);
    assert.match(refused(several, []).message, /NAME is missing/);
    assert.match(refused(greedy, []).message, /NAME is missing/);
    assert.match(refused(trailing, ['a', 'b']).message, /too many arguments: "b"/);
    assert.match(refused(plain, ['web', '--root', 'x']).message, /--root: goes before the command/);
  });

  it('ask for help whatever is missing', () => {
    assert.equal(parseWords(plain, ['--help']).help, true);
    assert.equal(parseWords(plain, ['-h']).help, true);
    assert.equal(parseWords(trailing, ['x', '--', '--help']).help, false);
  });

  it('whatever they are, give input or a refusal', () => {
    const word = fc.oneof(fc.string(), fc.constantFrom('--', '-', '-ft', '--image', '--env', '--tail', '--__proto__', '--constructor=x', '-e=A=1', 'toString'));
    fc.assert(
      fc.property(fc.array(word), fc.constantFrom(plain, trailing, greedy, several), (words, command) => {
        try {
          parseWords(command, words);
        } catch (error) {
          assert(error instanceof CenoteError);
        }
      }),
    );
  });
});
