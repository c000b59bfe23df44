/** Debian packages that a suite needs: brought in without what Debian only recommends, and without any service being started. */
import { run, runAny } from '../../src/exec/run.ts';
import type { Bench } from './suite.ts';

const timeoutMs = 30 * 60_000;

export const installPackages = async ({ note }: Pick<Bench, 'note'>, packages: readonly string[]): Promise<void> => {
  const present = (await runAny('dpkg-query', ['--show', '--showformat=${db:Status-Abbrev}${Package}\n', ...packages])).stdout.split('\n');
  const missing = packages.filter((name) => !present.includes(`ii ${name}`));
  if (missing.length === 0) return;
  note(`installing ${missing.join(', ')}`);
  await run('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', ...missing], {
    timeoutMs,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  });
};
