/**
 * `npm run bench [-- SUITE… --small --quiet-wait SECONDS]`: runs suites one after another in one run, writes what they measured to
 * bench/results/SUITE.json and, unless small, the tables between the marks in docs/benchmarks.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageChain } from '../src/base/errors.ts';
import { standingInstances } from '../test/support/instance.ts';
import { writeDocument } from './lib/document.ts';
import { measureHostCosts } from './lib/host-costs.ts';
import { hostFacts, loadAverage, waitForQuiet } from './lib/host.ts';
import { openBenchInstance } from './lib/instance.ts';
import type { BenchInstance } from './lib/instance.ts';
import type { StoredResult } from './lib/document.ts';
import type { Bench } from './lib/suite.ts';
import { suites } from './suites/all.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { small: { type: 'boolean', default: false }, 'quiet-wait': { type: 'string', default: '0' }, 'no-document': { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length > 0) {
  console.error(`no suite called ${unknown.join(', ')}; there are ${suites.map(({ name }) => name).join(', ')}`);
  process.exit(64);
}
if (process.getuid?.() !== 0) {
  console.error('the benchmarks start machines and must run as root');
  process.exit(77);
}

const chosen = positionals.length === 0 ? suites : suites.filter(({ name }) => positionals.includes(name));
const results = join(import.meta.dirname, 'results');
mkdirSync(results, { recursive: true });
/** The signal that ends the run early. */
let endedBy: number | undefined;
const note = (text: string): void => {
  if (endedBy !== undefined) throw new Error('ended early');
  console.log(`  ${text}`);
};
let instance: Promise<BenchInstance> | undefined;
const bench: Bench = {
  count: (full, small) => (values.small ? small : full),
  note,
  instance: () => (instance ??= openBenchInstance(values.small, note)),
};

const leave = async (): Promise<boolean> => {
  (await instance?.catch(() => undefined))?.close();
  const left = (await Promise.all(standingInstances().map((one) => one.destroy()))).flat();
  for (const line of left) console.error(`left behind: ${line}`);
  return left.length === 0;
};
/** As long as an instance may take to go. */
const undoMs = 200_000;
// Also what suites have made of their own is taken away; so the suite that runs fails, and undoes what else it has done.
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const)
  process.once(signal, () => {
    endedBy = number;
    setTimeout(() => process.exit(128 + number), undoMs).unref();
    // Of what was under way, as it finds its machines gone.
    process.on('unhandledRejection', () => undefined);
    void leave();
  });

let failed = false;
try {
  for (const suite of chosen) {
    if (endedBy !== undefined) break;
    const quiet = await waitForQuiet(Number(values['quiet-wait']));
    const loadBefore = loadAverage();
    const costs = await measureHostCosts();
    const begun = performance.now();
    console.log(`${suite.name}: ${suite.title} (load ${loadBefore}${quiet ? '' : ', not quiet'})`);
    if (endedBy !== undefined) break;
    try {
      const { rows, data } = await suite.run(bench);
      const seconds = Math.round((performance.now() - begun) / 100) / 10;
      const stored: StoredResult = {
        suite: suite.name,
        title: suite.title,
        method: suite.method,
        at: new Date().toISOString(),
        small: values.small,
        quiet,
        loadBefore,
        seconds,
        host: { ...hostFacts(), costs },
        rows,
        data,
      };
      writeFileSync(join(results, `${suite.name}.json`), `${JSON.stringify(stored, null, 2)}\n`);
      for (const row of rows) note([row.what, row.value, row.against, row.note].filter((part) => part !== undefined).join(' | '));
    } catch (error) {
      failed = true;
      if (endedBy !== undefined) break;
      console.error(`${suite.name} failed: ${messageChain(error)}`);
      if (error instanceof Error) console.error(error.stack);
      // What it had begun is not to be in the way of the others.
      await (await instance)?.removeAll();
    }
  }
} finally {
  if (!(await leave())) failed = true;
}
if (!values['no-document'] && endedBy === undefined) writeDocument(results, suites);
process.exitCode = endedBy === undefined ? Number(failed) : 128 + endedBy;
