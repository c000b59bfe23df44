/**
 * A PostgreSQL of the test's own, from Debian's package: data and socket in a temporary directory, no port, as the user postgres where the
 * test is root. It ends with the test, also when that is killed.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import pg from 'pg';
import { plainEnvironment, run } from '../../src/exec/run.ts';

const startMs = 30_000;
const isRoot = process.getuid?.() === 0;

const binDirectory = (): string | undefined => {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).toSorted((one, other) => Number(other) - Number(one)) : [];
  return versions.map((version) => join(base, version, 'bin')).find((path) => existsSync(join(path, 'initdb')));
};

/** Why tests with PostgreSQL are left out, or false. */
export const postgresSkip = (): string | false => (binDirectory() === undefined ? 'PostgreSQL is not installed: apt-get install postgresql' : false);

export class PostgresServer implements AsyncDisposable {
  readonly #directory: string;
  #process: ChildProcess | undefined;
  #made = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async start(): Promise<PostgresServer> {
    const directory = await mkdtemp(join(tmpdir(), 'cenote-pg-'));
    const server = new PostgresServer(directory);
    // The socket is for whoever the control plane runs as.
    await run('chmod', ['0711', directory]);
    if (isRoot) await run('chown', ['postgres:postgres', directory]);
    const [program, ...args] = server.#command('initdb', ['--pgdata', server.#data, '--auth=trust', '--username=cenote', '--no-sync', '--no-instructions']);
    await run(program, args, { cwd: '/' });
    await server.resume();
    return server;
  }

  /** A new, empty database: its URL. */
  async create(): Promise<string> {
    this.#made += 1;
    const name = `test_${this.#made}`;
    await this.query('postgres', `create database ${name}`);
    return this.url(name);
  }

  url(database: string): string {
    return `postgres:///${database}?host=${encodeURIComponent(this.#directory)}&user=cenote`;
  }

  async query(database: string, text: string): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: this.url(database) });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** As it ends with the power (`SIGQUIT`), or orderly but without waiting for who is connected (`SIGINT`). */
  async stop(signal: 'SIGINT' | 'SIGQUIT' = 'SIGQUIT'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  /** After a stop. */
  async resume(): Promise<void> {
    const settings = ['listen_addresses=', `unix_socket_directories=${this.#directory}`, 'fsync=off', 'max_connections=100', 'shared_buffers=16MB'];
    const [program, ...args] = this.#command('postgres', ['-D', this.#data, ...settings.flatMap((setting) => ['-c', setting])]);
    this.#process = spawn(program, args, { stdio: 'ignore', cwd: '/', env: plainEnvironment });
    const end = Date.now() + startMs;
    while (
      !(await this.query('postgres', 'select 1').then(
        () => true,
        () => false,
      ))
    ) {
      if (Date.now() > end || this.#process.exitCode !== null) throw new Error(`PostgreSQL in ${this.#directory} does not start`);
      await sleep(20);
    }
  }

  get #data(): string {
    return join(this.#directory, 'data');
  }

  /** A program of PostgreSQL's, which none of root's may be. */
  #command(name: string, args: readonly string[]): [string, ...string[]] {
    const as = isRoot ? ['--reuid=postgres', '--regid=postgres', '--clear-groups'] : [];
    return ['/usr/bin/setpriv', ...as, '--pdeathsig=INT', '--', join(binDirectory()!, name), ...args];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
