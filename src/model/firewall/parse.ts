/**
 * The parser of the rule language, which is Triton's:
 *
 *   FROM targets TO targets ALLOW|BLOCK protocol [PRIORITY 0..100]
 *   targets   ANY | ALL VMS | target | (target OR target ...)
 *   target    IP address | SUBNET address/length | TAG name [= value] | VM id
 *   protocol  TCP|UDP ports | ICMP|ICMP6 types | AH | ESP
 *   ports     PORT n | PORT ALL | (PORT n AND PORT n ...) | PORTS n, n - n, ...
 *   types     TYPE n [CODE n] | TYPE ALL | (TYPE n [CODE n] AND ...)
 *
 * Messages are the ones that people know from there.
 */
import { invalid } from '../../base/errors.ts';
import type { CenoteError } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import { isAligned, parseAddress, widthOf } from '../address.ts';
import type { Cidr } from '../address.ts';
import { checkRule } from './check.ts';
import { tokenize } from './lexer.ts';
import type { Token } from './lexer.ts';
import type { Action, IcmpType, PortRange, Rule, Service, Target } from './rule.ts';
import { sortPorts, sortTargets, sortTypes } from './order.ts';

/** Room for a rule at every limit of the language, unless all of its tags are as long as tags may be. */
export const longestRule = 8192;

export const parseRule = (text: string): Rule => {
  if (text.length > longestRule) throw fault(`the rule is longer than ${longestRule} characters`);
  const reader = new Reader(tokenize(text));
  reader.take('FROM');
  const from = targets(reader);
  reader.take('TO');
  const to = targets(reader);
  const action = reader.take('BLOCK', 'ALLOW').kind.toLowerCase() as Action;
  const service = protocol(reader);
  const priority = reader.take('EOF', 'PRIORITY').kind === 'PRIORITY' ? priorityLevel(reader) : 0;
  const rule = { from: sortTargets(from), to: sortTargets(to), action, service, priority };
  checkRule(rule);
  return rule;
};

export const parseSubnet = (text: string): Cidr => {
  const [address = '', suffix = ''] = text.split('/');
  const parsed = parseAddress(address);
  if (parsed === undefined) throw fault(`Subnet "${text}" is invalid (bad address component)`);
  const length = Number(suffix);
  if (!/^\d{1,3}$/.test(suffix) || length > widthOf(parsed.family)) throw fault(`Subnet "${text}" is invalid (bad prefix length)`);
  return { ...parsed, length };
};

const fault = (message: string): CenoteError => invalid('rule', message);

/** The words one after another, and what is wrong where another one was expected. */
class Reader {
  readonly #tokens: Token[];
  #at = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  get next(): Token {
    return this.#tokens[this.#at]!;
  }

  take(...expected: string[]): Token {
    const token = this.next;
    if (!expected.includes(token.kind)) throw this.unexpected(expected);
    this.#at += 1;
    return token;
  }

  /** Takes the next one when it is this. */
  skip(kind: string): boolean {
    if (this.next.kind !== kind) return false;
    this.#at += 1;
    return true;
  }

  unexpected(expected: readonly string[]): CenoteError {
    const { raw, after, kind } = this.next;
    const shown = expected.map((one) => `'${one === 'word' || one === 'string' ? one.toUpperCase() : one}'`).join(', ');
    return fault(`Error at character ${after}: '${raw}', expected: ${shown}, found: ${kind}`);
  }
}

const targetWords = ['ip', 'subnet', 'vm', 'tag'] as const;

const targets = (reader: Reader): Target[] => {
  const inParentheses = reader.skip('(');
  const wild = wildcard(reader);
  if (!inParentheses) return [wild ?? target(reader, ['(', 'all', 'any', ...targetWords])];
  if (wild !== undefined) {
    reader.take(')');
    return [wild];
  }
  const found = [target(reader, ['all', 'any', ...targetWords])];
  while (reader.take(')', 'OR').kind === 'OR') found.push(target(reader, targetWords));
  return found;
};

const wildcard = (reader: Reader): Target | undefined => {
  if (reader.skip('ANY')) return { kind: 'any' };
  if (!reader.skip('ALL')) return undefined;
  reader.take('VMS');
  return { kind: 'all' };
};

const target = (reader: Reader, expected: readonly string[]): Target => {
  if (reader.skip('IP')) return ip(reader.take('IPv4 address', 'IPv6 address'));
  if (reader.skip('SUBNET')) {
    const subnet = reader.take('IPv4 address', 'IPv6 address').text + reader.take('subnet prefix length').text;
    if (!isAligned(parseSubnet(subnet))) throw fault(`Subnet "${subnet}" is invalid (bits set to right of mask)`);
    return { kind: 'subnet', subnet };
  }
  if (reader.skip('VM')) {
    const { text } = reader.take('word');
    if (!isUuid(text) || text !== text.toLowerCase()) throw fault(`UUID "${text}" is invalid`);
    return { kind: 'vm', id: text };
  }
  if (!reader.skip('TAG')) throw reader.unexpected(expected);
  const name = reader.take('string', 'word').text;
  return { kind: 'tag', name, value: reader.skip('=') ? reader.take('string', 'word').text : null };
};

const ip = ({ kind, text }: Token): Target => {
  if (parseAddress(text) === undefined) throw fault(`${kind} "${text}" is invalid`);
  return { kind: 'ip', address: text };
};

const protocol = (reader: Reader): Service => {
  const name = reader.take('TCP', 'UDP', 'ICMP', 'ICMP6', 'AH', 'ESP').kind.toLowerCase() as Service['protocol'];
  switch (name) {
    case 'tcp':
    case 'udp':
      return { protocol: name, ports: reader.skip('PORTS') ? rangeList(reader) : list(reader, 'PORT', port, sortPorts) };
    case 'icmp':
    case 'icmp6':
      return { protocol: name, types: list(reader, 'TYPE', icmpType, sortTypes) };
    case 'ah':
    case 'esp':
      return { protocol: name };
  }
};

/** `KEYWORD item`, `KEYWORD ALL`, or several items in parentheses. */
const list = <Item>(reader: Reader, keyword: string, item: (reader: Reader) => Item, sort: (items: Item[]) => Item[]): Item[] | 'all' => {
  const inParentheses = reader.skip('(');
  const expected = inParentheses ? [keyword] : ['(', keyword, ...(keyword === 'PORT' ? ['PORTS'] : [])];
  if (!reader.skip(keyword)) throw reader.unexpected(expected);
  if (reader.skip('ALL')) {
    if (inParentheses) reader.take(')');
    return 'all';
  }
  const items = [item(reader)];
  if (!inParentheses) return items;
  while (reader.take(')', 'AND').kind === 'AND') {
    reader.take(keyword);
    items.push(item(reader));
  }
  return sort(items);
};

const port = (reader: Reader): PortRange => {
  const number = portNumber(reader.take('word').text);
  return { from: number, to: number };
};

const portNumber = (text: string): number => {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > 65_535) throw fault(`Port number "${text}" is invalid`);
  return number;
};

const rangeList = (reader: Reader): PortRange[] | 'all' => {
  if (reader.skip('ALL')) return 'all';
  const ranges = [range(reader)];
  while (reader.skip(',')) ranges.push(range(reader));
  return sortPorts(ranges);
};

/** `80`, `80-90` (one word) or `80 - 90`. */
const range = (reader: Reader): PortRange => {
  const word = reader.take('word').text;
  // A word may end in the sign: `80- 90`.
  const parts = word.endsWith('-') ? [word.slice(0, -1), reader.take('word').text] : word.split('-');
  if (parts.length === 1 && reader.skip('-')) parts.push(reader.take('word').text);
  if (parts.length > 2) throw fault(`"${word}" is not a valid port number or range`);
  const [from, to = from] = parts.map(portNumber) as [number, number?];
  if (to < from) throw fault(`The end of the range (${to}) cannot be less than the start (${from})`);
  return { from, to };
};

const icmpType = (reader: Reader): IcmpType => {
  const type = byte(reader, 'type');
  return { type, code: reader.skip('CODE') ? byte(reader, 'code') : null };
};

const byte = (reader: Reader, what: 'type' | 'code'): number => {
  const { text } = reader.take('word');
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 256;
  if (number > 255) throw fault(`ICMP ${what} "${text}" is invalid`);
  return number;
};

const priorityLevel = (reader: Reader): number => {
  const { text } = reader.take('word');
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 101;
  if (number > 100) throw fault(`Priority level "${text}" is invalid`);
  reader.take('EOF');
  return number;
};
