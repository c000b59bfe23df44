/**
 * `npm run soak`: what `npm test` runs a seeded part of, here whole, and with another seed each time. As root; takes hours. The suites run one
 * after another, whatever the others say, and a table at the end tells what each came to.
 *
 *   npm run soak                        all of them
 *   npm run soak -- SUITE...            these
 *
 *   crashes       the agent killed at every crash point of every action, twice       --only ACTION
 *   faults        the tests of faults, several times with seeds of their own         --rounds N
 *   cycles        machines made and deleted, eight at once                           --cycles N
 *   fuzz          every test with random input, long                                 --runs N
 *   pool          a borrower beside machines that claim their guarantees             --trials N
 *   resizes       busy machines resized at random, several at once                   --resizes N
 *   virtual       Cenote whole on a virtual host: cgroup v2, systemd, without swap
 *   power-loss    lives of a virtual host, each ended by pulling the plug            --lives N
 *
 * `--seed N` repeats a run; `--minutes M` ends `pool` and `resizes` after so many.
 */
import { basename, resolve } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { runAny } from '../src/exec/run.ts';
import { actions, runAgentCrashes } from '../test/host/agent-crashes.ts';
import { runCycles } from '../test/host/lifecycle-cycles.ts';
import { runPoolTrials } from '../test/host/pool-run.ts';
import { runResizes } from '../test/host/resize-run.ts';
import { startInstance } from '../test/support/instance.ts';
import type { TestInstance } from '../test/support/instance.ts';
import { OwnServices } from '../test/support/own-services.ts';
import { lockVirtualHosts, skipVirtualHost } from '../test/virtual/one-at-a-time.ts';
import { runPowerLoss } from '../test/virtual/power-loss.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    cycles: { type: 'string', default: '10000' },
    runs: { type: 'string', default: '3000' },
    lives: { type: 'string', default: '20' },
    trials: { type: 'string', default: '1000' },
    resizes: { type: 'string', default: '10000' },
    minutes: { type: 'string', default: '1440' },
  },
});
const numbers = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
const { seed, rounds, cycles, runs, lives, trials, resizes, minutes } = numbers as Record<Exclude<keyof typeof values, 'only'>, number>;
const note = (text: string): void => console.log(`     ${text}`);
const stillMostMs = 100;
const longestTestsMs = 12 * 3_600_000;

const faultTests = [
  'test/host/governor.test.ts',
  'test/host/faults.test.ts',
  'test/host/services.test.ts',
  'test/host/storage-recovery.test.ts',
  'test/integration/control-crash.test.ts',
  'test/integration/control-agent.test.ts',
];
const virtualTests = ['test/virtual/host.test.ts', 'test/virtual/systemd.test.ts', 'test/virtual/without-swap.test.ts'];
const fuzzTests = [
  'src/**/*.test.ts',
  'test/integration/control-fuzz.test.ts',
  'test/integration/cloudapi-fuzz.test.ts',
  'test/integration/agent-fuzz.test.ts',
  'test/integration/agent.test.ts',
  'test/host/archive.test.ts',
];

/** Who ends the soak early has what stands taken down. */
const ending = new AbortController();
const endedEarly = Promise.withResolvers<never>();
endedEarly.promise.catch(() => undefined); // heard by whom it concerns
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const)
  process.once(signal, () => {
    process.exitCode = 128 + number;
    ending.abort();
    // Of what was under way, as it finds its machines gone.
    process.on('unhandledRejection', () => undefined);
    endedEarly.reject(new Error(`ended by ${signal}`));
  });

const withInstance = async (poolSizeMib: number, work: (instance: TestInstance, services: OwnServices) => Promise<void>): Promise<void> => {
  await using instance = await startInstance({ poolSizeMib, note });
  await using services = await OwnServices.take(instance);
  await Promise.race([endedEarly.promise, work(instance, services)]);
};

/** Test files with a seed, told by node's own summary; throws when one fails. */
const runTests = async (files: readonly string[], env: Record<string, string>): Promise<void> => {
  const args = ['--import', './test/support/seed.ts', '--test', '--test-concurrency=2', '--test-reporter=spec', ...files];
  const { code, stdout, stderr } = await runAny(process.execPath, args, {
    cwd: resolve(import.meta.dirname, '..'),
    env: { ...(process.env as Record<string, string>), ...env },
    timeoutMs: longestTestsMs,
    signal: ending.signal,
    maxOutputBytes: 16 * 1024 * 1024,
  });
  const counts = Object.fromEntries([...stdout.matchAll(/^ℹ (tests|pass|fail|skipped) (\d+)$/gm)].map(([, name, count]) => [name, Number(count)]));
  note(`${JSON.stringify(env)}: ${JSON.stringify(counts)}`);
  if (code !== 0) throw new Error(`tests failed with ${JSON.stringify(env)}:\n${/✖ failing tests:.*/s.exec(stdout)?.[0] ?? stdout.slice(-5000)}${stderr}`);
};

/** Each gives what its result is, in a few words. */
const suites: Record<string, () => Promise<string>> = {
  crashes: async () => {
    let kills = 0;
    await withInstance(1024, async (instance, services) => {
      for (const only of values.only === undefined ? Object.keys(actions) : [values.only]) {
        kills += await runAgentCrashes(instance, services, { seed, only, note });
        await services.stop('control');
        await services.stop('agent');
      }
    });
    return `the agent was killed ${kills} times`;
  },
  faults: async () => {
    for (let round = 0; round < rounds; round += 1) await runTests(faultTests, { CENOTE_TEST_SEED: String(seed + round) });
    return `${rounds} rounds`;
  },
  cycles: async () => {
    await withInstance(1536, async (instance, services) => {
      await runCycles(instance, services, { cycles, rowEvery: Math.min(1000, cycles), note });
    });
    return `${cycles} machines made and deleted, and nothing grew`;
  },
  pool: async () => {
    let result = '';
    await withInstance(768, async (instance, services) => {
      result = await runPoolTrials(instance, services, { seed, trials, minutes, note });
    });
    return result;
  },
  resizes: async () => {
    let words = '';
    await withInstance(1024, async (instance, services) => {
      await services.startBoth();
      const { stoodMs, gapMs, p50Ms, p99Ms, ...counts } = await runResizes(instance, services, { seed, resizes, minutes, note });
      words = `${counts.resizes} resizes, ${counts.refused} of what cannot be; p50 ${p50Ms}, p99 ${p99Ms} ms with six at once; a machine stood still for ${stoodMs.toFixed(1)} ms at most, ${gapMs.toFixed(0)} ms with its waiting for CPU`;
      if (stoodMs > stillMostMs) throw new Error(words);
    });
    return words;
  },
  fuzz: async () => {
    await runTests(fuzzTests, { CENOTE_TEST_SEED: String(seed), CENOTE_FUZZ_RUNS: String(runs) });
    return `${runs} runs of each property and each route`;
  },
  virtual: async () => {
    if (skipVirtualHost !== false) return `skipped: ${skipVirtualHost}`;
    await runTests(virtualTests, { TEST_VIRTUAL: '1', CENOTE_TEST_SEED: String(seed) });
    return virtualTests.map((path) => basename(path, '.test.ts')).join(', ');
  },
  'power-loss': async () => {
    if (skipVirtualHost !== false) return `skipped: ${skipVirtualHost}`;
    await using _lock = await lockVirtualHosts();
    for (let life = 0; life < lives && !ending.signal.aborted; life += 1) note(`seed ${seed + life}: ${JSON.stringify(await runPowerLoss(seed + life))}`);
    return `${lives} lives`;
  },
};

const unknown = positionals.filter((name) => !Object.hasOwn(suites, name));
if (unknown.length > 0 || process.getuid?.() !== 0) {
  console.error(unknown.length > 0 ? `there is no suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}` : 'run it as root');
  process.exit(2);
}
console.log(`seed ${seed}`);
const results: string[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(suites)) {
  const begun = performance.now();
  console.log(`...  ${name}`);
  let [verdict, words] = ['ok  ', ''];
  try {
    words = await suites[name]!();
  } catch (error) {
    if (ending.signal.aborted) break;
    verdict = 'FAIL';
    words = error instanceof Error ? error.message.split('\n')[0]! : 'it threw what is no error';
    // With what it came from.
    console.log(inspect(error));
    process.exitCode = 1;
  }
  if (ending.signal.aborted) break;
  results.push(`${verdict} ${name} (${Math.round((performance.now() - begun) / 1000)} s): ${words}`);
  console.log(results.at(-1));
}
if (results.length > 1) console.log(`\n${results.join('\n')}`);
// What was cut off may go on otherwise.
if (ending.signal.aborted) process.exit();
