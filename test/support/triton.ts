/**
 * CloudAPI's own clients, unmodified: `triton` and the `sdc-*` commands, installed once from test/clients into a cache, and a person with an
 * SSH key in a home directory who uses them.
 */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sshpk from 'sshpk';
import { runAny } from '../../src/exec/run.ts';
import type { RunResult } from '../../src/exec/run.ts';

const source = join(dirname(fileURLToPath(import.meta.url)), '../clients');
const commandMs = 60_000;
const installMs = 300_000;

/** The directory of `node_modules`. Several tests at once may install it: the first to be done is what all use. */
export const clientsDirectory = async (): Promise<string> => {
  const lock = await readFile(join(source, 'package-lock.json'));
  const cache = join(process.getuid?.() === 0 ? '/var/cache' : join(homedir(), '.cache'), 'cenote-test-clients');
  const place = join(cache, createHash('sha256').update(lock).digest('hex').slice(0, 16));
  if (await exists(join(place, 'node_modules'))) return place;
  await mkdir(cache, { recursive: true });
  const made = await mkdtemp(join(cache, 'new-'));
  for (const name of ['package.json', 'package-lock.json']) await cp(join(source, name), join(made, name));
  // All of the environment: how the registry is reached may stand there.
  const env = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== undefined)) as Record<string, string>;
  const installed = await runAny('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: made, env, timeoutMs: installMs });
  if (installed.code !== 0) throw new Error(`the clients could not be installed: ${installed.stderr}`);
  await rename(made, place).catch(() => rm(made, { recursive: true, force: true }));
  return place;
};

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

export type KeyKind = 'rsa' | 'ecdsa' | 'ed25519';

export interface Person extends AsyncDisposable {
  name: string;
  url: string;
  home: string;
  publicKeyPath: string;
  publicKey: string;
  /** MD5, as TRITON_KEY_ID has it. */
  fingerprint: string;
  privateKey: sshpk.PrivateKey;
  /** The program and its environment, where it is started otherwise. */
  command: string[];
  env: Record<string, string>;
  triton(...args: string[]): Promise<RunResult>;
  /** Its output; fails where the command does. */
  must(...args: string[]): Promise<string>;
  json<T>(...args: string[]): Promise<T>;
  /** Of commands that print one object a line. */
  lines<T>(...args: string[]): Promise<T[]>;
}

const makeKey = (kind: KeyKind): sshpk.PrivateKey => {
  if (kind !== 'rsa') return sshpk.generatePrivateKey(kind as 'ecdsa');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return sshpk.parsePrivateKey(privateKey.export({ type: 'pkcs1', format: 'pem' }), 'pem');
};

export const person = async (name: string, url: string, kind: KeyKind = 'rsa'): Promise<Person> => {
  const clients = await clientsDirectory();
  const home = await mkdtemp(join(tmpdir(), 'cenote-person-'));
  await mkdir(join(home, '.ssh'), { mode: 0o700 });
  const privateKey = makeKey(kind);
  privateKey.comment = `${name}@laptop`;
  const publicKey = `${privateKey.toPublic().toString('ssh')}\n`;
  const path = join(home, '.ssh', `id_${kind}`);
  await writeFile(path, privateKey.toString(kind === 'rsa' ? 'pkcs1' : 'ssh-private'), { mode: 0o600 });
  await writeFile(`${path}.pub`, publicKey);
  const fingerprint = privateKey.fingerprint('md5').toString('hex');
  const env = {
    PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
    HOME: home,
    TRITON_URL: url,
    TRITON_ACCOUNT: name,
    TRITON_KEY_ID: fingerprint,
    SDC_URL: url,
    SDC_ACCOUNT: name,
    SDC_KEY_ID: fingerprint,
    NO_COLOR: '1',
  };
  const triton = (...args: string[]) =>
    runAny(process.execPath, [join(clients, 'node_modules/triton/bin/triton'), ...args], { env, timeoutMs: commandMs, cwd: home });
  const must = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await triton(...args);
    if (code !== 0) throw new Error(`triton ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  };
  return {
    name,
    url,
    home,
    publicKeyPath: `${path}.pub`,
    publicKey,
    fingerprint,
    privateKey,
    command: [join(clients, 'node_modules/triton/bin/triton')],
    env,
    triton,
    must,
    lines: async <T>(...args: string[]) =>
      (await must(...args))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as T),
    json: async <T>(...args: string[]) => JSON.parse(await must(...args)) as T,
    [Symbol.asyncDispose]: () => rm(home, { recursive: true, force: true }),
  };
};
