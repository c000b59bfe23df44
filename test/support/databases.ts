/** Both databases that a store may be in, for tests that run on each. The PostgreSQL is started when the first test of a file wants it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { PostgresServer, postgresSkip } from './postgres.ts';

export interface TestDatabase {
  name: 'sqlite' | 'postgres';
  skip: string | false;
  /** Does the work with an empty database, by what `Store.open` takes. */
  with: <T>(work: (database: string) => Promise<T>) => Promise<T>;
}

let server: Promise<PostgresServer> | undefined;
after(async () => (await server)?.[Symbol.asyncDispose]());

/** The file's PostgreSQL, which all its tests share. */
export const sharedPostgres = (): Promise<PostgresServer> => (server ??= PostgresServer.start());

const sqlite: TestDatabase = {
  name: 'sqlite',
  skip: false,
  with: async (work) => {
    const directory = await mkdtemp(join(tmpdir(), 'cenote-store-'));
    try {
      return await work(join(directory, 'store.sqlite'));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
};

const postgres: TestDatabase = {
  name: 'postgres',
  skip: postgresSkip(),
  with: async (work) => {
    const shared = await sharedPostgres();
    return work(await shared.create());
  },
};

export const databases: readonly TestDatabase[] = [sqlite, postgres];
