/**
 * The tables of docs/benchmarks.md, written between marks from the results that are there, and the pictures that suites draw; the words around
 * them are people's. What was measured elsewhere and has no result here stays as it is.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toldCosts } from './host-costs.ts';
import type { HostCosts } from './host-costs.ts';
import type { HostFacts } from './host.ts';
import type { Row, Suite } from './suite.ts';

export interface StoredResult {
  suite: string;
  title: string;
  method: string;
  at: string;
  small: boolean;
  quiet: boolean;
  loadBefore: number;
  seconds: number;
  host: HostFacts & { costs: HostCosts };
  rows: Row[];
  data: Record<string, unknown>;
}

const document = join(import.meta.dirname, '../../docs/benchmarks.md');
const [begin, end] = ['<!-- results: begin -->', '<!-- results: end -->'];

/** Small runs are for trying the programs out and are not shown. */
export const writeDocument = (results: string, suites: readonly Suite[]): void => {
  const text = readFileSync(document, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${document} has no marks for the results`);
  const former = sectionsOf(text.slice(from + begin.length, to));
  const sections = suites.flatMap(({ name, title, picture }): string[] => {
    const path = join(results, `${name}.json`);
    const stored = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as StoredResult) : null;
    if (stored === null || stored.small) return former.get(title) ?? [];
    if (picture !== undefined) writeFileSync(join(dirname(document), picture.file), picture.draw(stored));
    return [section(stored, picture?.file)];
  });
  writeFileSync(document, `${text.slice(0, from + begin.length)}\n\n${sections.join('\n')}\n${text.slice(to)}`);
};

/** By title. */
export const sectionsOf = (text: string): Map<string, [string]> =>
  new Map(
    text
      .split(/^(?=### )/m)
      .filter((part) => part.startsWith('### '))
      .map((part) => [part.slice(4, part.indexOf('\n')).trim(), [`${part.trim()}\n`]]),
  );

const section = ({ title, method, at, quiet, loadBefore, seconds, host, rows }: StoredResult, picture: string | undefined): string => {
  const columns = (['what', 'value', 'against', 'note'] as const).filter((column) => rows.some((row) => row[column] !== undefined));
  const heads = { what: 'what', value: 'measured', against: 'against', note: '' };
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    `### ${title}`,
    '',
    method,
    '',
    ...(picture === undefined ? [] : [`![${title}](${picture})`, '']),
    line(columns.map((column) => heads[column])),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => row[column] ?? ''))),
    '',
    `${at.slice(0, 16).replace('T', ' ')} UTC, ${host.cores} cores (${host.cpu}), ${(host.memoryMib / 1024).toFixed(0)} GiB, Linux ${host.kernel}, Node ${host.node}; ${toldCosts(host.costs)}; ` +
      `load average before ${loadBefore}${quiet ? '' : ': the host was not quiet'}; took ${seconds} s.`,
    '',
  ].join('\n');
};
