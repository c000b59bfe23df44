/** Values as a person reads them. Sizes and CPU are in base/units.ts. */
import { invalid } from '../base/errors.ts';
import { formatCpu, formatMib } from '../base/units.ts';
import type { PackageRef } from '../model/resources.ts';

const mostGraceSeconds = 3600;
const steps: readonly (readonly [number, string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
];

/** 75 -> `1m`, 90_000 -> `1d`. */
export const formatDuration = (seconds: number): string => {
  const [size, unit] = steps.find(([least]) => seconds >= least) ?? [1, 's'];
  return `${Math.max(0, Math.floor(seconds / size))}${unit}`;
};

/** How long ago; `-` for never. A clock that runs behind gives `0s`, never a negative age. */
export const formatAge = (at: string | null, now: number = Date.now()): string => (at === null ? '-' : formatDuration((now - Date.parse(at)) / 1000));

/** `10`, `10s`, `2m`, `1h`: whole seconds. */
export const parseSeconds = (field: string, text: string): number => {
  const match = /^(\d{1,7})(s|m|h)?$/.exec(text);
  if (match === null) throw invalid(field, `${JSON.stringify(text)} is not a time`, 'write seconds, or a number with s, m or h, such as 30s');
  return Number(match[1]) * { s: 1, m: 60, h: 3600 }[(match[2] ?? 's') as 's' | 'm' | 'h'];
};

/** Between the stop signal and the kill. */
export const parseGrace = (field: string, text: string): number => {
  const seconds = parseSeconds(field, text);
  if (seconds > mostGraceSeconds) throw invalid(field, `${JSON.stringify(text)} is too long (1h at most)`);
  return seconds;
};

export const parseCount =
  (least: number, most: number) =>
  (field: string, text: string): number => {
    const count = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(count >= least && count <= most)) throw invalid(field, `${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
    return count;
  };

/** `0.5` or, with a ceiling, `0.5..2`. */
export const formatCpuRange = (guarantee: number, ceiling: number | null): string =>
  ceiling === null ? formatCpu(guarantee) : `${formatCpu(guarantee)}..${formatCpu(ceiling)}`;
export const formatSizeRange = (guarantee: number, ceiling: number | null): string =>
  ceiling === null ? formatMib(guarantee) : `${formatMib(guarantee)}..${formatMib(ceiling)}`;

/** 50 -> `50M/s`, 2048 -> `2G/s`. */
export const formatMibps = (mibps: number | null): string => (mibps === null ? 'none' : `${formatMib(mibps)}/s`);
export const formatMbps = (mbps: number): string => (mbps < 1000 ? `${mbps} Mbit/s` : `${Number((mbps / 1000).toFixed(3))} Gbit/s`);

/** A word as a shell would need it written. */
export const quoteWord = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`);
export const quoteWords = (words: readonly string[]): string => words.map(quoteWord).join(' ');

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`;

export const formatPackage = ({ name, version }: PackageRef): string => `${name}@${version}`;
