/**
 * Which version of the API a client speaks: it sends a range (`~9||~8`, `~7.2`, `8`, `*`) and is told the highest of ours in it. The part of
 * npm's range grammar that clients use: alternatives of sets of comparators, with parts left out or written x.
 */

/** Versions in which something that clients see differs; the highest is what the documentation describes. */
export const versions = ['9.20.0', '9.0.0', '8.0.0', '7.3.0', '7.2.0', '7.1.0', '7.0.0'] as const;
export type ApiVersion = (typeof versions)[number];
type Parts = readonly [number, number, number];

const partsOf = (text: string): Parts => text.split('.').map(Number) as unknown as Parts;

const compare = (one: Parts, other: Parts): number => one[0] - other[0] || one[1] - other[1] || one[2] - other[2];

/** The first version that a partial one stands for, and the first that it does not: `7.2` is from 7.2.0 to below 7.3.0. */
interface Span {
  from: Parts;
  below: Parts;
}

const everything: Span = { from: [0, 0, 0], below: [Infinity, 0, 0] };

const spanOf = (operator: string, text: string): Span | undefined => {
  const match = /^[v=]?(\d{1,4}|[xX*])(?:\.(\d{1,4}|[xX*]))?(?:\.(\d{1,6}|[xX*]))?$/.exec(text);
  if (match === null) return undefined;
  const [major, minor, patch] = match.slice(1).map((part) => (part === undefined || /[xX*]/.test(part) ? undefined : Number(part)));
  if (major === undefined) return everything;
  const from: Parts = [major, minor ?? 0, patch ?? 0];
  if (minor === undefined || operator === '^') return { from, below: [major + 1, 0, 0] };
  if (patch === undefined || operator === '~') return { from, below: [major, minor + 1, 0] };
  return { from, below: [major, minor, patch + 1] };
};

const matchesComparator = (version: Parts, comparator: string): boolean => {
  const [, operator = '', text = ''] = /^(~>?|\^|>=|<=|>|<|=)?\s*(.+)$/.exec(comparator) ?? [];
  const span = spanOf(operator.replace('~>', '~'), text);
  if (span === undefined) return false;
  switch (operator) {
    case '>=':
      return compare(version, span.from) >= 0;
    case '>':
      return compare(version, span.below) >= 0;
    case '<=':
      return compare(version, span.below) < 0;
    case '<':
      return compare(version, span.from) < 0;
    default:
      return compare(version, span.from) >= 0 && compare(version, span.below) < 0;
  }
};

const longestRange = 256;
const mostKept = 100;

/** Undefined where the range has none of ours. */
export const negotiate = (range: string | undefined): ApiVersion | undefined => {
  if (range === undefined || range.trim() === '') return versions[0];
  if (range.length > longestRange) return undefined;
  const alternatives = range.split('||').map((one) =>
    one
      .trim()
      .replaceAll(/(~>?|\^|>=|<=|>|<|=)\s+/g, '$1')
      .split(/\s+/),
  );
  return versions.find((version) => alternatives.some((comparators) => comparators.every((one) => matchesComparator(partsOf(version), one || '*'))));
};

/** The same with its answers kept: clients say the same range with each request. */
export const negotiator = (): typeof negotiate => {
  const kept = new Map<string | undefined, ApiVersion | undefined>();
  return (range) => {
    if (kept.has(range)) return kept.get(range);
    if (kept.size >= mostKept) kept.clear();
    const version = negotiate(range);
    kept.set(range, version);
    return version;
  };
};

/** They stand in order, the highest first. */
export const isBefore = (version: ApiVersion, other: ApiVersion): boolean => versions.indexOf(version) > versions.indexOf(other);
