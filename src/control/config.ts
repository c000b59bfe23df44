/** What the control plane is told by its arguments and environment; read once. */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { checkRoot, cloudApiPlace, defaultRoot, dnsZone, instancePaths, parseDatabaseFile, parseInstanceConfig } from '../model/instance.ts';
import { UserNames } from '../sys/peer.ts';
import type { ControlOptions } from './start.ts';

export const adminGroup = 'cenote';

export interface ControlConfig extends Omit<ControlOptions, 'logger' | 'trace' | 'beginAnew'> {
  logLevel: string;
}

/** `--root DIR` comes before CENOTE_ROOT. */
export const readConfig = (args: readonly string[]): ControlConfig => {
  const { values } = parseArgs({ args: [...args], options: { root: { type: 'string' } }, strict: true });
  const root = checkRoot(values.root ?? process.env['CENOTE_ROOT'] ?? defaultRoot);
  const paths = instancePaths(root);
  const instance = parseInstanceConfig(paths.config, readFileSync(paths.config, 'utf8'));
  const gid = new UserNames().groupId(adminGroup);
  return {
    root,
    socketPath: paths.controlListen,
    agentSocketPath: paths.agentSocket,
    database: readDatabase(paths.database) ?? `${paths.control}/store.sqlite`,
    adminGids: gid === undefined ? [] : [gid],
    names: { zone: dnsZone(instance), listen: instance.dns?.listen, secondaries: instance.dns?.secondaries },
    cloudapi: { ...cloudApiPlace(instance), datacenter: instance.instance },
    logLevel: process.env['CENOTE_LOG_LEVEL'] ?? 'info',
  };
};

/** The file is there only when `cenote up --database` has written it. */
const readDatabase = (path: string): string | undefined => (existsSync(path) ? parseDatabaseFile(path, readFileSync(path, 'utf8')) : undefined);
