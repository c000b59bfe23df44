/**
 * For hosts without systemd: one small process that keeps lxcfs, resolver, agent and control plane running. At most one per instance: its
 * pid file is locked while it lives. It may be killed at any moment; the next one adopts what runs.
 */
import { ftruncateSync, statSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { messageOf } from '../base/errors.ts';
import { createLogger, logTo } from '../base/logger.ts';
import type { Logger } from '../base/logger.ts';
import { checkRoot, instancePaths } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { tryLockFile } from '../sys/flock.ts';
import { unmount, unmountFlags } from '../sys/mount.ts';
import { loadInstanceConfig } from './config.ts';
import { keepRunning } from './keeper.ts';
import type { KeeperOptions } from './keeper.ts';
import { cutLog } from './log-file.ts';
import { identify } from '../sys/process-identity.ts';
import { openServiceGroup } from './service-group.ts';
import { asUser, serviceNames, servicesOf } from './service-list.ts';
import type { ServiceName } from './service-list.ts';

const cutEveryMs = 10_000;

export const supervisorPidPath = (paths: InstancePaths): string => `${paths.run}/supervisor.pid`;
export const servicePidPath = (paths: InstancePaths, name: string): string => `${paths.run}/${name}.pid`;
export const serviceLogPath = (paths: InstancePaths, name: string): string => `${paths.log}/${name}.log`;

const keepersOf = (config: InstanceConfig, paths: InstancePaths): (Omit<KeeperOptions, 'log' | 'admit'> & { name: ServiceName })[] =>
  servicesOf(config, paths).map((service) => ({
    name: service.name,
    argv: asUser(service.user, service.argv, service.lowPorts),
    env: service.env,
    umask: service.umask,
    pidPath: servicePidPath(paths, service.name),
    logPath: serviceLogPath(paths, service.name),
    oomScoreAdjust: service.oomScoreAdjust,
    before: service.name === 'lxcfs' ? () => dropDeadMount(paths.lxcfs) : undefined,
    leave: service.neededByMachines,
  }));

/** What a killed lxcfs leaves behind: a mount that answers ENOTCONN and would be in the way. */
export const dropDeadMount = (path: string): void => {
  try {
    statSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTCONN') unmount(path, unmountFlags.detach);
    else throw error;
  }
};

/** Services run without their groups too. */
const groupOf = ({ instance }: InstanceConfig, log: Logger): ReturnType<typeof openServiceGroup> => {
  const orWithout = <Result>(work: () => Result): Result | undefined => {
    try {
      return work();
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the services have no control group of their own');
      return undefined;
    }
  };
  const admit = orWithout(() => openServiceGroup(instance));
  return (member, pid) => orWithout(() => admit?.(member, pid));
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options: { root: { type: 'string' } } });
  const paths = instancePaths(checkRoot(values.root ?? ''));
  const config = loadInstanceConfig(paths.root);
  process.umask(0o077);
  const lock = tryLockFile(supervisorPidPath(paths));
  const log = createLogger({ name: 'supervisor', destination: logTo(serviceLogPath(paths, 'supervisor')) });
  if (lock === null) {
    log.info('another supervisor of this instance runs already');
    return;
  }
  ftruncateSync(lock.fd);
  writeSync(lock.fd, JSON.stringify(identify(process.pid)), 0);
  const admit = groupOf(config, log);
  admit('supervisor', process.pid);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  process.on('SIGHUP', () => {});
  const cutter = setInterval(() => {
    for (const name of [...serviceNames, 'supervisor']) {
      try {
        cutLog(serviceLogPath(paths, name));
      } catch (error) {
        // A disk without room for the copy; it is tried again.
        log.warn({ service: name, error: messageOf(error) }, 'a log that is too long was not cut');
      }
    }
  }, cutEveryMs);
  log.info({ pid: process.pid, instance: config.instance }, 'supervisor started');
  await Promise.all(keepersOf(config, paths).map((keeper) => keepRunning({ ...keeper, admit: (pid) => admit(keeper.name, pid), log }, stop.signal)));
  clearInterval(cutter);
  log.info('supervisor stopped');
  lock[Symbol.dispose]();
};

if (import.meta.main) await main();
