/**
 * The language of policies: `CAN listmachines and getmachine WHEN sourceip = 10.0.0.0/8`. Words are case-insensitive, what they name is not.
 * Whatever a rule asks about and is not known makes it grant nothing. Regular expressions are not taken: a policy is an account's own text, and
 * one may take as long as it likes; `*` stands for any text.
 */
import { BlockList, isIP } from 'node:net';
import { Refusal } from '../refusal.ts';

export type Facts = Readonly<Record<string, string | Date | readonly string[] | undefined>>;

type Test = (facts: Facts) => boolean | undefined;

export interface Rule {
  grants: (action: string, facts: Facts) => boolean;
}

const longestRule = 4096;
const deepest = 32;

const wrong = (message: string): Refusal =>
  new Refusal(409, 'InvalidArgument', `rules: ${message}`, { errors: [{ field: 'rules', code: 'Invalid', message }] });

interface Token {
  text: string;
  quoted: boolean;
  type: string | undefined;
}

const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|(!=|<=|>=|[=<>(),])|([^\s"(),=<>!]+))/y;

const tokensOf = (text: string): Token[] => {
  if (text.length > longestRule) throw wrong(`a rule has at most ${longestRule} characters`);
  const tokens: Token[] = [];
  pattern.lastIndex = 0;
  const source = text.trim();
  while (pattern.lastIndex < source.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(source);
    if (match === null) throw wrong(`cannot read ${JSON.stringify(source.slice(at, at + 20))}`);
    const [, string, sign, word] = match;
    if (string !== undefined) {
      const type = /^::(\w+)/.exec(source.slice(pattern.lastIndex));
      if (type !== null) pattern.lastIndex += type[0].length;
      tokens.push({ text: string.replaceAll(/\\(.)/g, '$1'), quoted: true, type: type?.[1]?.toLowerCase() });
    } else if (sign !== undefined) tokens.push({ text: sign, quoted: false, type: undefined });
    else {
      const [name = '', type] = word!.split('::');
      tokens.push({ text: name, quoted: false, type: type?.toLowerCase() });
    }
  }
  return tokens;
};

class Reader {
  readonly #tokens: Token[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  is(...words: string[]): boolean {
    const token = this.#tokens[this.#at];
    return token !== undefined && !token.quoted && words.includes(token.text.toLowerCase());
  }

  take(...words: string[]): boolean {
    if (!this.is(...words)) return false;
    this.#at += 1;
    return true;
  }

  next(what: string): Token {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw wrong(`${what} is missing at the end`);
    this.#at += 1;
    return token;
  }

  expect(word: string): void {
    if (!this.take(word)) throw wrong(`${word.toUpperCase()} is missing${this.done ? ' at the end' : ` before ${this.next('').text.slice(0, 40)}`}`);
  }
}

export const parseRule = (text: string): Rule => {
  const reader = new Reader(text);
  reader.expect('can');
  const actions = readActions(reader);
  const test = reader.done ? undefined : readCondition(reader);
  if (!reader.done) throw wrong(`cannot read ${JSON.stringify(reader.next('').text.slice(0, 40))}`);
  return { grants: (action, facts) => actions.some((matches) => matches(action)) && (test === undefined || test(facts) === true) };
};

const everything = new Set(['*', 'all', 'everything', 'anything']);

const readActions = (reader: Reader): ((action: string) => boolean)[] => {
  const actions: ((action: string) => boolean)[] = [];
  do {
    reader.take('and');
    const { text, quoted, type } = reader.next('an action');
    if (type === 'regex' || text.startsWith('/')) throw wrong('regular expressions are not taken; * stands for any text');
    const wanted = text.toLowerCase();
    if (!/^[a-z0-9_*-]+$/.test(wanted)) throw wrong(`${JSON.stringify(text.slice(0, 40))} is not an action`);
    actions.push(!quoted && everything.has(wanted) ? () => true : (action) => glob(wanted, action));
  } while (reader.take(',') || reader.is('and'));
  return actions;
};

const glob = (wanted: string, text: string): boolean => {
  const [first = '', ...parts] = wanted.split('*');
  if (parts.length === 0) return wanted === text;
  const last = parts.pop()!;
  if (!text.startsWith(first) || text.length < first.length + last.length || !text.endsWith(last)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > text.length - last.length) return false;
    at = found + part.length;
  }
  return true;
};

const readCondition = (reader: Reader): Test => {
  if (!reader.take('when', 'if', 'where')) throw wrong(`WHEN is missing before ${JSON.stringify(reader.next('').text.slice(0, 40))}`);
  return readOr(reader, 0);
};

/** What is not known stays so, but where the other side decides by itself. */
const readOr = (reader: Reader, depth: number): Test => {
  if (depth > deepest) throw wrong('the condition is nested too deeply');
  const tests = [readAnd(reader, depth)];
  while (reader.take('or')) tests.push(readAnd(reader, depth));
  return (facts) => {
    const results = tests.map((test) => test(facts));
    return results.includes(true) ? true : results.includes(undefined) ? undefined : false;
  };
};

const readAnd = (reader: Reader, depth: number): Test => {
  const tests = [readNot(reader, depth)];
  while (reader.take('and')) tests.push(readNot(reader, depth));
  return (facts) => {
    const results = tests.map((test) => test(facts));
    return results.includes(false) ? false : results.includes(undefined) ? undefined : true;
  };
};

const readNot = (reader: Reader, depth: number): Test => {
  if (reader.take('not')) {
    const test = readNot(reader, depth);
    return (facts) => {
      const result = test(facts);
      return result === undefined ? undefined : !result;
    };
  }
  if (!reader.take('(')) return readTest(reader);
  const test = readOr(reader, depth + 1);
  reader.expect(')');
  return test;
};

const typesByName: Readonly<Record<string, string>> = { sourceip: 'ip', ip: 'ip', requesttime: 'date', activeroles: 'array' };
const operators = new Set(['=', '!=', '<', '<=', '>', '>=', 'like', 'in']);

const readTest = (reader: Reader): Test => {
  const { text: name, type: written } = reader.next('a name');
  const type = written ?? typesByName[name.toLowerCase()] ?? 'string';
  const compare = comparisons[type];
  if (compare === undefined) throw wrong(`there is no type ${type.slice(0, 40)}`);
  const operator = reader.next('an operator').text.toLowerCase();
  if (!operators.has(operator)) throw wrong(`${JSON.stringify(operator.slice(0, 40))} is not an operator`);
  const values = operator === 'in' ? readList(reader) : [reader.next('a value').text];
  if (operator === 'like' && values[0]!.startsWith('/')) throw wrong('regular expressions are not taken; * stands for any text');
  const sign = operator === 'in' ? '=' : operator;
  const tests = values.map((value) => compare(sign, value));
  return (facts) => {
    const fact = facts[name] ?? facts[name.toLowerCase()];
    if (fact === undefined) return undefined;
    const one = (each: string | Date) => tests.some((test) => test(each));
    return typeof fact === 'string' || fact instanceof Date ? one(fact) : fact.some(one);
  };
};

const readList = (reader: Reader): string[] => {
  reader.expect('(');
  const values = [reader.next('a value').text];
  while (reader.take(',')) values.push(reader.next('a value').text);
  reader.expect(')');
  return values;
};

type Compare = (sign: string, value: string) => (fact: string | Date) => boolean;

const ordered = (sign: string, difference: number): boolean => {
  switch (sign) {
    case '=':
      return difference === 0;
    case '!=':
      return difference !== 0;
    case '<':
      return difference < 0;
    case '<=':
      return difference <= 0;
    case '>':
      return difference > 0;
    default:
      return sign === '>=' && difference >= 0;
  }
};

const numbers =
  (read: (value: string) => number, factOf: (fact: string | Date) => number): Compare =>
  (sign, value) => {
    const wanted = read(value);
    if (Number.isNaN(wanted) || sign === 'like') throw wrong(`${JSON.stringify(value.slice(0, 40))} cannot be compared so`);
    return (fact) => ordered(sign, factOf(fact) - wanted);
  };

const dateOf = (fact: string | Date): Date => (fact instanceof Date ? fact : new Date(fact));

const secondsOf = (text: string): number => {
  const match = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text);
  return match === null ? Number.NaN : Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3] ?? 0);
};

const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const dayOf = (text: string): number => {
  const found = days.indexOf(text.slice(0, 3).toLowerCase());
  return found >= 0 ? found : Number.NaN;
};

const text: Compare = (sign, value) => {
  if (sign === 'like') return (fact) => glob(value, String(fact));
  return (fact) => {
    const known = String(fact);
    return ordered(sign, known === value ? 0 : known < value ? -1 : 1);
  };
};

const address: Compare = (sign, value) => {
  const [network = '', prefix] = value.split('/');
  const family = isIP(network);
  if (family === 0 || (sign !== '=' && sign !== '!='))
    throw wrong(`${JSON.stringify(value.slice(0, 40))} is not an address or subnet, or cannot be compared so`);
  const bits = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix);
  if (!(Number.isInteger(bits) && bits >= 0 && bits <= (family === 4 ? 32 : 128))) throw wrong(`${JSON.stringify(value.slice(0, 40))} is not a subnet`);
  const list = new BlockList();
  list.addSubnet(network, bits, family === 4 ? 'ipv4' : 'ipv6');
  return (fact) => {
    const known = String(fact);
    return list.check(known, isIP(known) === 6 ? 'ipv6' : 'ipv4') === (sign === '=');
  };
};

const comparisons: Readonly<Record<string, Compare | undefined>> = {
  string: text,
  array: text,
  fuzzy: (_sign, value) => text('like', value),
  number: numbers(Number, (fact) => Number(String(fact))),
  date: numbers(
    (value) => Date.parse(value),
    (fact) => dateOf(fact).getTime(),
  ),
  time: numbers(secondsOf, (fact) => secondsOf(dateOf(fact).toISOString().slice(11, 19))),
  day: numbers(dayOf, (fact) => dateOf(fact).getUTCDay()),
  ip: address,
};
