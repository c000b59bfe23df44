/** The command line with a profile: the real launcher, TLS over TCP, an account's key; the operator's own beside it on the unix socket. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { runAny } from '../../src/exec/run.ts';
import type { RunResult } from '../../src/exec/run.ts';
import type { ControlInfo } from '../../src/model/control-api.ts';
import { cliFixture, launcher, startLauncher } from './cli-fixture.ts';
import type { CliFixture, RunningCli } from './cli-fixture.ts';

export interface RemoteFixture extends AsyncDisposable {
  cli: CliFixture;
  url: string;
  fingerprint: string;
  /** Where whoever calls is at home. */
  home: string;
  env: Record<string, string>;
  /** Runs the launcher there. */
  cenote(...words: string[]): Promise<RunResult>;
  cenoteWith(options: { input?: string; env?: Record<string, string> }, ...words: string[]): Promise<RunResult>;
  must(...words: string[]): Promise<string>;
  start(...words: string[]): RunningCli;
  /** A key in a file, which an account of this name has. */
  account(name: string): Promise<string>;
}

/** All addresses: the loopback alone is served without TLS. */
const place = { address: '0.0.0.0', port: 0, datacenter: 'here' } as const;

export const remoteFixture = async (): Promise<RemoteFixture> => {
  await using stack = new AsyncDisposableStack();
  const cli = stack.use(await cliFixture(place));
  const info = (await cli.cenote('info', '--json')).json<ControlInfo>();
  const url = `https://127.0.0.1:${new URL(info.cloudapi!).port}`;
  const home = join(cli.root, 'home');
  mkdirSync(home);
  const env = { PATH: process.env['PATH']!, HOME: home, CENOTE_NODE: process.execPath };
  const cenoteWith: RemoteFixture['cenoteWith'] = (options, ...words) =>
    runAny(launcher, words, { input: options.input, env: { ...env, ...options.env }, cwd: home, timeoutMs: 60_000 });
  const moved = stack.move();
  return {
    cli,
    url,
    fingerprint: info.fingerprint!,
    home,
    env,
    cenoteWith,
    cenote: (...words) => cenoteWith({}, ...words),
    must: async (...words) => {
      const { code, stdout, stderr } = await cenoteWith({}, ...words);
      if (code !== 0) throw new Error(`cenote ${words.join(' ')} ended with ${code}: ${stderr}`);
      return stdout;
    },
    start: (...words) => startLauncher(moved, words, env, home),
    account: async (name) => {
      const key = sshpk.generatePrivateKey('ed25519');
      const path = join(home, `${name}.key`);
      writeFileSync(path, key.toString('openssh'), { mode: 0o600 });
      writeFileSync(`${path}.pub`, key.toPublic().toString('ssh'));
      const made = await cli.cenote('account', 'create', name, '--key', `${path}.pub`);
      if (made.code !== 0) throw new Error(made.stderr);
      return path;
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
};
