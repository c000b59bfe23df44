/** `npm run check`: types, lint, format and dead code, side by side; each says what it found, and all are run whatever the others say. */
import { join } from 'node:path';
import { runAny } from '../src/exec/run.ts';

const root = join(import.meta.dirname, '..');
const timeoutMs = 10 * 60_000;

const checks: readonly { name: string; program: string; args: string[] }[] = [
  { name: 'types', program: 'tsc', args: [] },
  { name: 'lint', program: 'oxlint', args: ['--type-aware', '--deny-warnings', '--quiet'] },
  { name: 'format', program: 'oxfmt', args: ['--check'] },
  { name: 'unused', program: 'knip', args: ['--no-progress', '--treat-config-hints-as-errors'] },
];

// The project's own Node first: the tools' launchers ask for `node`, and the system's may be too old.
const env = { PATH: `${root}/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`, LC_ALL: 'C.UTF-8', HOME: '/tmp' };

const results = await Promise.all(
  checks.map(async ({ name, program, args }) => {
    const start = performance.now();
    const result = await runAny(join(root, 'node_modules/.bin', program), args, { cwd: root, env, timeoutMs });
    return { name, program, args, result, seconds: (performance.now() - start) / 1000 };
  }),
);

for (const { name, program, args, result, seconds } of results) {
  const passed = result.code === 0;
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name} (${program} ${args.join(' ')}, ${seconds.toFixed(1)} s)`);
  if (!passed) console.log(`${result.stdout}${result.stderr}`.trimEnd().replaceAll(/^/gm, '     '));
}
process.exitCode = results.every(({ result }) => result.code === 0) ? 0 : 1;
