/** What set-up is asked for, and the only place of set-up that reads the environment. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CenoteError } from '../base/errors.ts';
import { plainEnvironment } from '../exec/run.ts';
import { instancePaths, parseInstanceConfig } from '../model/instance.ts';
import type { DnsConfig, InstanceConfig, Overcommit } from '../model/instance.ts';

export interface SetupOptions {
  root: string;
  json?: boolean | undefined;
  /** A line of the result; by default on standard output. */
  line?: ((text: string) => void) | undefined;
  /** A line of progress; by default on standard error. */
  note?: ((text: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface DnsChange {
  listen?: { address: string; port: number | undefined } | null | undefined;
  zone?: string | null | undefined;
  secondaries?: DnsConfig['secondaries'] | null | undefined;
}

export interface UpOptions extends SetupOptions {
  poolSizeMib?: number | undefined;
  /** A block device for the pool; all on it is lost. */
  device?: string | undefined;
  /** What this instance may guarantee in all; without, the default instance has what others leave. */
  cpuMillis?: number | undefined;
  memoryMib?: number | undefined;
  /** What the host's uplink carries, Mbit/s; null: nothing is set aside of it. Without, it stays as it is. */
  networkMbps?: number | null | undefined;
  /** The devices that carry it, or those of the default route. Without, they stay as they are. */
  uplinks?: readonly string[] | 'default' | undefined;
  /** How often CPU, memory and disk may be promised. Without, it stays as it is; 1 is once. */
  overcommit?: Partial<Overcommit> | undefined;
  /** Where CloudAPI is served. Without, it stays as it is. */
  cloudapi?: { address: string; port: number | undefined } | undefined;
  /** Names in the DNS. What is left out stays as it is; null takes it back to what it is without. */
  dns?: DnsChange | undefined;
  /** The store's: URL of a PostgreSQL database, or `sqlite`. Without, it stays as it is. */
  database?: string | undefined;
  noHello?: boolean | undefined;
}

export interface DownOptions extends SetupOptions {
  machines?: boolean | undefined;
}

export interface DestroyOptions extends SetupOptions {
  yes?: boolean | undefined;
}

/** The directory of package.json and src/. */
export const checkoutPath = (): string => dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** For programs that fetch from the network: the plain environment and the caller's proxies. */
export const networkEnvironment = (): Record<string, string> => {
  const proxies = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  return { ...plainEnvironment, ...Object.fromEntries(proxies.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))) };
};

/** Null when there is no instance at this root. */
export const findInstanceConfig = (root: string): InstanceConfig | null => {
  const path = instancePaths(root).config;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return parseInstanceConfig(path, text);
};

export const loadInstanceConfig = (root: string): InstanceConfig => {
  const config = findInstanceConfig(root);
  if (config === null) throw new CenoteError('not_found', `there is no Cenote instance at ${root}`, { advice: 'make it with `cenote up`' });
  return config;
};

export const saveInstanceConfig = (root: string, config: InstanceConfig): void => {
  const path = instancePaths(root).config;
  writeFileSync(`${path}.new`, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o644, flush: true });
  renameSync(`${path}.new`, path);
};
