/** Query strings, by the project's own rules: each name at most once, none unknown, every value checked. */
import { invalid } from '../../base/errors.ts';

/** `tag.` stands for any name that begins so. */
export const checkQueryNames = (query: URLSearchParams, allowed: readonly string[]): void => {
  const seen = new Set<string>();
  for (const name of query.keys()) {
    const shown = name.slice(0, 80);
    if (!allowed.some((one) => (one.endsWith('.') ? name.startsWith(one) && name.length > one.length : one === name))) {
      throw invalid(shown, 'unknown parameter', allowed.length === 0 ? 'there are none here' : `known here: ${allowed.join(', ')}`);
    }
    if (seen.has(name)) throw invalid(shown, 'given twice');
    seen.add(name);
  }
};

export const integerOf = (query: URLSearchParams, name: string, range: { minimum: number; maximum: number }): number | undefined => {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= range.minimum && value <= range.maximum))
    throw invalid(name, `${JSON.stringify(text.slice(0, 40))} is not a whole number from ${range.minimum} to ${range.maximum}`);
  return value;
};

/** `follow` alone, `follow=true` and `follow=1` are yes. */
export const booleanOf = (query: URLSearchParams, name: string): boolean => {
  const text = query.get(name);
  if (text === null || text === 'false' || text === '0') return false;
  if (text === '' || text === 'true' || text === '1') return true;
  throw invalid(name, `${JSON.stringify(text.slice(0, 40))} is neither true nor false`);
};

export const oneOf = <T extends string>(query: URLSearchParams, name: string, words: readonly T[]): T | undefined => {
  const text = query.get(name);
  if (text === null) return undefined;
  const found = words.find((word) => word === text);
  if (found === undefined) throw invalid(name, `${JSON.stringify(text.slice(0, 40))} is none of ${words.join(', ')}`);
  return found;
};

/** A path inside a machine. */
export const pathOf = (query: URLSearchParams, name: string): string => {
  const text = query.get(name);
  if (text === null) throw invalid(name, 'is missing');
  if (!text.startsWith('/') || text.length > 4096 || text.includes('\0')) throw invalid(name, 'must be an absolute path of at most 4096 characters');
  return text;
};
