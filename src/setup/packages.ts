/** The Debian packages machines need. Installing one starts no service of its own: what must run, Cenote runs itself. */
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { CenoteError } from '../base/errors.ts';
import { installed, run, runAny } from '../exec/run.ts';
import { networkEnvironment } from './config.ts';

/** Package, and a program of it where one is looked for on hosts without dpkg. */
export const neededPackages = {
  crun: 'crun',
  conmon: 'conmon',
  // The default system call filter.
  'golang-github-containers-common': null,
  nftables: 'nft',
  iproute2: 'ip',
  'btrfs-progs': 'btrfs',
  lxcfs: 'lxcfs',
  'libarchive-tools': 'bsdtar',
  mmdebstrap: 'mmdebstrap',
  perl: 'perl',
  libatomic1: null,
} as const satisfies Record<string, string | null>;

const policyPath = '/usr/sbin/policy-rc.d';
const installTimeoutMs = 15 * 60_000;

type Packages = Readonly<Record<string, string | null>>;

export const missingPackages = async (needed: Packages = neededPackages): Promise<string[]> => {
  if (!(await installed('dpkg-query'))) {
    const programs = Object.entries(needed).filter((entry): entry is [string, string] => entry[1] !== null);
    const found = await Promise.all(programs.map(([, program]) => installed(program)));
    return programs.filter((_, index) => !found[index]).map(([name]) => name);
  }
  const names = Object.keys(needed);
  const { stdout } = await runAny('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...names]);
  const present = new Set(
    stdout
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]!),
  );
  return names.filter((name) => !present.has(name));
};

/** Installs what is missing; asks nothing. The result is what was installed. */
export const ensurePackages = async (at: (text: string) => void, signal?: AbortSignal, needed: Packages = neededPackages): Promise<string[]> => {
  const missing = await missingPackages(needed);
  if (missing.length === 0) return [];
  if (!(await installed('apt-get')))
    throw new CenoteError('unsupported', `this host has no apt-get, and lacks ${missing.join(', ')}`, {
      advice: 'install them by the means of this system, then run `cenote up` again',
    });
  using _policy = forbidServiceStarts();
  const apt = (...args: string[]) =>
    runAny('apt-get', ['-y', '-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0', ...args], {
      env: { ...networkEnvironment(), DEBIAN_FRONTEND: 'noninteractive' },
      timeoutMs: installTimeoutMs,
      onOutput: at,
      signal,
    });
  const install = () => apt('install', '--no-install-recommends', ...missing);
  // Lists may be absent (a fresh image) or old (404): then, and only then, are they fetched.
  let result = await install();
  if (result.code !== 0) {
    signal?.throwIfAborted();
    await apt('update');
    result = await install();
  }
  if (result.code !== 0) {
    signal?.throwIfAborted();
    const said = `${result.stderr}\n${result.stdout}`.split('\n').find((line) => line.startsWith('E:')) ?? 'no reason given';
    throw new CenoteError('failed', `apt-get could not install ${missing.join(', ')}: ${said}`, {
      advice: 'run `apt-get update`, look at its errors, then run `cenote up` again',
      context: { stderr: result.stderr },
    });
  }
  return missing;
};

/** Debian asks this program before it starts a service; 101 is no. One that is there already stays in charge. */
const forbidServiceStarts = (): Disposable => {
  if (existsSync(policyPath)) return { [Symbol.dispose]: () => {} };
  writeFileSync(policyPath, '#!/bin/sh\nexit 101\n');
  chmodSync(policyPath, 0o755);
  return { [Symbol.dispose]: () => rmSync(policyPath, { force: true }) };
};

/** First line of a program's version, or null. */
export const versionOf = async (program: string): Promise<string | null> => {
  if (!(await installed(program))) return null;
  const text = await run(program, ['--version']).catch(() => '');
  return text.split('\n')[0]?.trim() ?? null;
};
