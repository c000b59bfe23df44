/**
 * `npm run soak`: what `npm test` runs a seeded part of, here whole. As root; takes hours. Each suite is told with its figures, and all are
 * run whatever the others say.
 *
 *   npm run soak                        all of them
 *   npm run soak -- SUITE... [--seed N] [--cycles N] [--lives N] [--trials N]
 */
import { parseArgs } from 'node:util';
import { runAgentCrashes } from '../test/host/agent-crashes.ts';
import { runCycles } from '../test/host/lifecycle-cycles.ts';
import { PoolWorld } from '../test/host/pool-trials.ts';
import { startInstance } from '../test/support/instance.ts';
import type { TestInstance } from '../test/support/instance.ts';
import { OwnServices } from '../test/support/own-services.ts';
import { lockVirtualHosts, skipVirtualHost } from '../test/virtual/one-at-a-time.ts';
import { runPowerLoss } from '../test/virtual/power-loss.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    cycles: { type: 'string', default: '10000' },
    lives: { type: 'string', default: '20' },
    trials: { type: 'string', default: '1000' },
  },
});
const [seed, cycles, lives, trials] = [values.seed, values.cycles, values.lives, values.trials].map(Number) as [number, number, number, number];
const note = (text: string): void => console.log(`     ${text}`);

const withInstance = async (poolSizeMib: number, work: (instance: TestInstance, services: OwnServices) => Promise<void>): Promise<void> => {
  await using instance = await startInstance({ poolSizeMib, note });
  await using services = await OwnServices.take(instance);
  await work(instance, services);
};

const suites: Record<string, () => Promise<void>> = {
  crashes: () =>
    withInstance(2048, async (instance, services) => {
      note(`the agent was killed ${await runAgentCrashes(instance, services, { seed, note })} times`);
    }),
  cycles: () =>
    withInstance(1536, async (instance, services) => {
      await services.startBoth();
      await runCycles(instance, services, { cycles, note });
    }),
  pool: () =>
    withInstance(640, async (instance, services) => {
      await services.startBoth();
      const world = await PoolWorld.make(instance, services.control);
      const claims: number[] = [];
      for (let trial = 0; trial < trials; trial += 1) {
        const { claimMs, borrowerKills } = await world.trial(seed + trial);
        claims.push(claimMs);
        if (borrowerKills > 0) throw new Error(`seed ${seed + trial}: killed in the borrower although there is swap`);
        if (trial % 50 === 49) note(`${trial + 1} trials, slowest claim ${Math.round(Math.max(...claims))} ms`);
        await world.settled();
      }
    }),
  'power-loss': async () => {
    if (skipVirtualHost !== false) return note(`skipped: ${skipVirtualHost}`);
    await using _lock = await lockVirtualHosts();
    for (let life = 0; life < lives; life += 1) note(`seed ${seed + life}: ${JSON.stringify(await runPowerLoss(seed + life))}`);
  },
};

const unknown = positionals.filter((name) => !Object.hasOwn(suites, name));
if (unknown.length > 0 || process.getuid?.() !== 0) {
  console.error(unknown.length > 0 ? `there is no suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}` : 'run it as root');
  process.exit(2);
}
for (const name of positionals.length > 0 ? positionals : Object.keys(suites)) {
  const begun = performance.now();
  console.log(`...  ${name}`);
  let problem: string | null = null;
  try {
    await suites[name]!();
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : 'it threw what is no error';
    process.exitCode = 1;
  }
  console.log(`${problem === null ? 'ok  ' : 'FAIL'} ${name} (${Math.round((performance.now() - begun) / 1000)} s)`);
  if (problem !== null) console.log(problem);
}
