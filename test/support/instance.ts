/**
 * A whole Cenote of a test's own: the real launcher brings it up under a temporary root, and takes it away again. Tests with instances
 * run side by side; each asks for the little it needs, since what it may guarantee is taken from the host's.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runAny } from '../../src/exec/run.ts';
import type { RunResult } from '../../src/exec/run.ts';
import { runsSystemd } from '../../src/setup/host-view.ts';
import { auditHost, compare, holdersOf } from './audit.ts';

export const launcher = resolve(import.meta.dirname, '../../cenote');
/** Why tests with instances cannot run here; false where they can. */
export const skipInstance: string | false = process.getuid?.() !== 0 ? 'needs root' : false;

export interface InstanceOptions {
  poolSizeMib: number;
  /** The most it may guarantee in all. */
  cpuMillis?: number;
  memoryMib?: number;
  /** The directory to make its root in; by default the one for temporary files. */
  under?: string;
  /** Told what goes on, for `context.diagnostic`. */
  note?: (text: string) => void;
}

export interface CallOptions {
  input?: string | Uint8Array;
  env?: Record<string, string>;
  timeoutMs?: number;
}

export interface TestInstance extends AsyncDisposable {
  readonly root: string;
  /** Its name on the host. */
  readonly instance: string;
  /** A directory for the test's files; goes with the instance. */
  readonly directory: string;
  /** Runs the launcher to its end, whatever the exit code. */
  cenote(...words: string[]): Promise<RunResult>;
  cenoteWith(options: CallOptions, ...words: string[]): Promise<RunResult>;
  /** Demands success, and gives what it wrote. */
  must(...words: string[]): Promise<string>;
  /** With `--json`, read; demands success. */
  json<T>(...words: string[]): Promise<T>;
  /** Demands that it is refused or fails, and gives what it said. */
  refused(...words: string[]): Promise<string>;
  /** Runs a command inside until it succeeds. */
  until(machine: string, command: readonly string[], what?: string): Promise<string>;
  /** Takes it away and says what of it is left on the host; nothing, if all is well. */
  destroy(): Promise<string[]>;
}

const standing = new Set<TestInstance>();
/** Those that this process has made and not yet taken away, for who is ended early. */
export const standingInstances = (): readonly TestInstance[] => [...standing];

const defaultShare = { cpuMillis: 100, memoryMib: 1024 };
const callTimeoutMs = 180_000;
const untilTimeoutMs = 60_000;

export const startInstance = async (options: InstanceOptions): Promise<TestInstance> => {
  const base = mkdtempSync(join(options.under ?? tmpdir(), 'e'));
  // The control plane's user has to reach its own directory below.
  chmodSync(base, 0o755);
  const root = join(
    base,
    basename(base)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]/g, 'x'),
  );
  const directory = mkdtempSync(join(base, 'files-'));
  const before = await auditHost([root]);

  const cenoteWith: TestInstance['cenoteWith'] = ({ timeoutMs = callTimeoutMs, input, env }, ...words) =>
    runAny(launcher, ['--root', root, ...words], {
      input,
      timeoutMs,
      cwd: directory,
      env: { PATH: process.env['PATH']!, HOME: directory, CENOTE_NODE: process.execPath, ...env },
      maxOutputBytes: 16 * 1024 * 1024,
    });
  const cenote: TestInstance['cenote'] = (...words) => cenoteWith({}, ...words);
  const must: TestInstance['must'] = async (...words) => {
    const { code, stdout, stderr } = await cenote(...words);
    assert.equal(code, 0, `cenote ${words.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  };

  let gone = false;
  let instance = '';
  let coming: Promise<{ instance: string }> | undefined;
  const destroy = async (): Promise<string[]> => {
    if (gone) return [];
    gone = true;
    standing.delete(made);
    await coming?.catch(() => undefined);
    const problems: string[] = [];
    if (existsSync(root)) {
      const destroyed = await cenote('destroy', '--yes');
      if (destroyed.code !== 0) problems.push(`destroy ended with ${destroyed.code}: ${destroyed.stderr}`);
    }
    const left = async () => [
      ...problems,
      ...compare(before, await auditHost([root]), { root, instance }),
      ...holdersOf(root).map((holder) => `holds its files: ${holder}`),
    ];
    // A loop device and a killed process are let go by the kernel in its own time.
    let found = await left();
    for (let round = 0; found.length > problems.length && round < 50; round += 1) {
      await sleep(100);
      found = await left();
    }
    // What could not be taken away needs its directory to be tried again by hand.
    if (problems.length > 0) found.push(`kept ${root}: cenote --root ${root} destroy --yes`);
    else rmSync(base, { recursive: true, force: true });
    return found;
  };

  const made: TestInstance = {
    root,
    get instance() {
      return instance;
    },
    directory,
    cenote,
    cenoteWith,
    must,
    json: async <T>(...words: string[]) => {
      // Before a `--`, what follows is a machine's own words.
      const end = words.includes('--') ? words.indexOf('--') : words.length;
      return JSON.parse(await must(...words.slice(0, end), '--json', ...words.slice(end))) as T;
    },
    refused: async (...words) => {
      const { code, stdout, stderr } = await cenote(...words);
      assert.notEqual(code, 0, `cenote ${words.join(' ')} should have been refused: ${stdout}`);
      return stderr.trim();
    },
    until: async (machine, command, what = command.join(' ')) => {
      for (const deadline = Date.now() + untilTimeoutMs; ; await sleep(200)) {
        const { code, stdout, stderr } = await cenote('exec', machine, '--', ...command);
        if (code === 0) return stdout;
        if (Date.now() > deadline) throw new Error(`waited too long for ${machine}: ${what}: ${stderr}${stdout}`);
      }
    },
    destroy,
    [Symbol.asyncDispose]: async () => {
      const left = await destroy();
      assert.deepEqual(left, [], `left behind by the instance at ${root}`);
    },
  };

  standing.add(made);
  try {
    const { cpuMillis, memoryMib } = { ...defaultShare, ...options };
    const up = ['up', '--no-hello', '--pool-size', `${options.poolSizeMib}M`, '--cpu', String(cpuMillis / 1000), '--memory', `${memoryMib}M`];
    coming = made.json(...up);
    ({ instance } = await coming);
    options.note?.(`instance ${instance} at ${root}, ${runsSystemd() ? 'systemd' : 'supervisor'}`);
    return made;
  } catch (error) {
    await destroy();
    throw error;
  }
};
