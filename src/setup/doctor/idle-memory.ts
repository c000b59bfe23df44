/**
 * Whether the kernel was told to swap what nobody has touched for a while (DAMON's action `pageout`). It does so by physical address and knows
 * no control groups: neither guarantees nor the governor keep a machine's memory from it.
 *
 * Read where the kernel's own documentation has it: Documentation/admin-guide/mm/damon/usage.rst and reclaim.rst.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from '../host-view.ts';
import { ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

/** Who takes idle memory away, and after how long. */
export interface IdleMemoryTaker {
  seconds: number;
  /** The file that turns it off, and what to write there. */
  file: string;
  off: string;
}

const followed = '/sys/kernel/mm/damon/admin/kdamonds';
const reclaimer = '/sys/module/damon_reclaim/parameters';

export const examineIdleMemory = (takers = idleMemoryTakers()): Finding => {
  const first = takers.toSorted((a, b) => a.seconds - b.seconds)[0];
  if (first === undefined) return ok('idle memory', 'stays where it is until somebody claims it');
  const turnedOff = takers.map(({ file, off }) => `echo ${off} > ${file}`).join('; ');
  return warn(
    'idle memory',
    `the kernel was told to swap what nobody has touched for ${first.seconds} s (DAMON), of machines within their guarantees too; to end that: ${turnedOff}`,
  );
};

export const idleMemoryTakers = (kdamonds = followed, module = reclaimer): IdleMemoryTaker[] => [...schemes(kdamonds), ...ofModule(module)];

const schemes = (kdamonds: string): IdleMemoryTaker[] =>
  numbered(kdamonds).flatMap((kdamond) => {
    const state = join(kdamond, 'state');
    if (word(state) !== 'on') return [];
    const ages = numbered(join(kdamond, 'contexts')).flatMap((context) => {
      const intervalUs = number(join(context, 'monitoring_attrs/intervals/aggr_us'));
      return numbered(join(context, 'schemes'))
        .filter((scheme) => word(join(scheme, 'action')) === 'pageout')
        .map((scheme) => (number(join(scheme, 'access_pattern/age/min')) * intervalUs) / 1e6);
    });
    return ages.length === 0 ? [] : [{ seconds: Math.min(...ages), file: state, off: 'off' }];
  });

const ofModule = (module: string): IdleMemoryTaker[] =>
  word(join(module, 'enabled')) === 'Y' ? [{ seconds: number(join(module, 'min_age')) / 1e6, file: join(module, 'enabled'), off: 'N' }] : [];

/** Directories that the kernel names 0, 1, 2, … */
const numbered = (directory: string): string[] =>
  existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => /^\d+$/.test(name))
        .map((name) => join(directory, name))
    : [];

const word = (path: string): string => (readText(path) ?? '').trim();
const number = (path: string): number => Number(word(path));
