/** Words of the rule language. Keywords are all upper or all lower case; anything between is a word like any other. */
import { invalid } from '../../base/errors.ts';

const keywords = new Set('from to ip subnet any all tag vm vms or and block allow port ports tcp udp icmp icmp6 type code ah esp priority'.split(' '));

export interface Token {
  /** A keyword or sign in the case that messages show, or the kind of what else it is. */
  kind: string;
  /** As written; of a string, what it stands for. */
  text: string;
  /** As messages show it. */
  raw: string;
  /** Where the one before ended, which is where people are told to look. */
  after: number;
}

/** How much of an unknown rest a message shows. */
const shownRest = 20;

const patterns: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['string', /"(?:\\(?:["\\/bfnrt()]|u[0-9a-fA-F]{4})|[^"\\])*"/y],
  ['IPv4 address', /\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}/y],
  ['IPv6 address', /[0-9a-f]*:[0-9a-f]*:[:0-9a-f]*/y],
  ['subnet prefix length', /\/\d{1,3}/y],
  ['word', /[a-zA-Z0-9_][-a-zA-Z0-9_]*/y],
  ['sign', /[-,=()]/y],
];

export const tokenize = (text: string): Token[] => {
  const tokens: Token[] = [];
  let at = 0;
  while (true) {
    const after = at;
    at += /^\s*/.exec(text.slice(at))![0].length;
    if (at === text.length) {
      tokens.push({ kind: 'EOF', text: '', raw: '', after });
      return tokens;
    }
    const token = read(text, at, after);
    tokens.push(token);
    at += token.raw.length;
  }
};

const read = (text: string, at: number, after: number): Token => {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const raw = pattern.exec(text)?.[0];
    if (raw === undefined) continue;
    if (kind === 'string') return { kind, text: unescape(raw.slice(1, -1)), raw, after };
    const isKeyword = kind === 'word' && keywords.has(raw.toLowerCase()) && (raw === raw.toLowerCase() || raw === raw.toUpperCase());
    return { kind: isKeyword ? raw.toUpperCase() : kind === 'sign' ? raw : kind, text: raw, raw, after };
  }
  throw invalid('rule', `Error at character ${at}: '${text.slice(at, at + shownRest)}', found: unexpected text`);
};

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

const unescape = (text: string): string =>
  text.replaceAll(/\\(?:u([0-9a-fA-F]{4})|(.))/gs, (_whole, code: string | undefined, letter: string | undefined) =>
    code === undefined ? (escapes[letter!] ?? letter!) : String.fromCharCode(Number.parseInt(code, 16)),
  );
