/** The tables of docs/benchmarks.md, written between marks from the results that are there; the words around them are people's. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { HostFacts } from './host.ts';
import type { Row } from './suite.ts';

export interface StoredResult {
  suite: string;
  title: string;
  method: string;
  at: string;
  small: boolean;
  quiet: boolean;
  loadBefore: number;
  seconds: number;
  host: HostFacts;
  rows: Row[];
  data: Record<string, unknown>;
}

const document = join(import.meta.dirname, '../../docs/benchmarks.md');
const [begin, end] = ['<!-- results: begin -->', '<!-- results: end -->'];

/** Small runs are for trying the programs out and are not shown. */
export const writeDocument = (results: string, order: readonly string[]): void => {
  const found = order.flatMap((name): StoredResult[] => {
    const path = join(results, `${name}.json`);
    return existsSync(path) ? [JSON.parse(readFileSync(path, 'utf8')) as StoredResult] : [];
  });
  const shown = found.filter(({ small }) => !small);
  const text = readFileSync(document, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${document} has no marks for the results`);
  writeFileSync(document, `${text.slice(0, from + begin.length)}\n\n${shown.map(section).join('\n')}\n${text.slice(to)}`);
};

const section = ({ title, method, at, quiet, loadBefore, seconds, host, rows }: StoredResult): string => {
  const columns = (['what', 'value', 'against', 'note'] as const).filter((column) => rows.some((row) => row[column] !== undefined));
  const heads = { what: 'what', value: 'measured', against: 'against', note: '' };
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    `### ${title}`,
    '',
    method,
    '',
    line(columns.map((column) => heads[column])),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => row[column] ?? ''))),
    '',
    `${at.slice(0, 16).replace('T', ' ')} UTC, ${host.cores} cores (${host.cpu}), ${(host.memoryMib / 1024).toFixed(0)} GiB, Linux ${host.kernel}, Node ${host.node}; ` +
      `load average before ${loadBefore}${quiet ? '' : ': the host was not quiet'}; took ${seconds} s.`,
    '',
  ].join('\n');
};
