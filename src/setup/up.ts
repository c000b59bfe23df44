/** `cenote up`: from a bare host to a machine that answers. Every step finds what is done already, so it may be repeated at any time. */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { CenoteError } from '../base/errors.ts';
import { formatCores, formatMib } from '../base/units.ts';
import { AgentClient } from '../client/agent.ts';
import { ControlClient } from '../client/control.ts';
import { openAllotment } from '../host/allotment/allotment.ts';
import type { Share } from '../host/allotment/allotment.ts';
import { checkRoot, cloudApiPlace, instancePaths, noOvercommit } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { lockFile } from '../sys/flock.ts';
import { accountName, ensureAccounts, resolverAccountName } from './account.ts';
import { codeFingerprint, placeCode } from './code.ts';
import { checkoutPath, findInstanceConfig, saveInstanceConfig } from './config.ts';
import type { UpOptions } from './config.ts';
import { changeDatabase } from './database.ts';
import { changedDns } from './dns.ts';
import { makeDirectories, makeRoot } from './directories.ts';
import { lockHost } from './host-lock.ts';
import { serviceManager } from './manager.ts';
import { ensurePackages } from './packages.ts';
import { checkDevice, choosePool, diskRoomAt, hasBtrfs } from './pool-size.ts';
import { prepareHost } from './prepare-host.ts';
import type { Progress, Step } from './progress.ts';
import { takeShare } from './promised.ts';
import { answers } from './readiness.ts';
import { checkRootDirectory, upLockPath } from './root-directory.ts';
import { chooseUplinks } from './uplinks.ts';

const lockTimeoutMs = 120_000;
const sharePollMs = 100;
const shareTimeoutMs = 30_000;

export interface UpOutcome {
  config: InstanceConfig;
  paths: InstancePaths;
}

export const bringUp = async (options: UpOptions, progress: Progress): Promise<UpOutcome> => {
  const root = checkRoot(options.root);
  const paths = instancePaths(root);
  checkRootDirectory(root, openAllotment().list());
  if (options.device !== undefined && findInstanceConfig(root) === null) checkDevice(options.device);

  await progress.step('packages', async ({ at }) => {
    const added = await ensurePackages(at, options.signal);
    return { said: added.length === 0 ? 'all installed' : `installed ${added.join(', ')}` };
  });
  makeRoot(paths);
  // One `up` of an instance at a time; a second waits, then finds everything done.
  using _lock = await lockFile(upLockPath(root), { timeoutMs: lockTimeoutMs, signal: options.signal });
  const { config, changed } = await changeHost(options, paths, progress);
  await progress.step('services', (step) => startServices(config, paths, changed, step, options.signal));
  await waitForShare(config, paths, progress, options.signal);
  return { config, paths };
};

/** What one instance does to the host while no other does, comes or goes: account, allotment, kernel settings, swap. */
const changeHost = async (options: UpOptions, paths: InstancePaths, progress: Progress): Promise<{ config: InstanceConfig; changed: boolean }> => {
  const { root } = paths;
  using _host = await lockHost(options.signal);
  const { accounts } = await progress.step('users', async () => {
    const { accounts: found, made } = await ensureAccounts();
    return { accounts: found, said: made.length > 0 ? `${made.join(', ')} made` : `${Object.keys(found).join(', ')} exist` };
  });
  makeDirectories(paths, accounts);
  const allotment = openAllotment({ onNotice: (message) => progress.note(`  note: ${message}`) });
  const { config, changed } = await progress.step('instance', async () => {
    const existing = findInstanceConfig(root);
    const entry = await takeShare(options, existing, paths, allotment);
    const storage = choosePool(options, existing?.storage ?? null, diskRoomAt(root), hasBtrfs());
    const networkMbps = options.networkMbps === undefined ? (existing?.networkMbps ?? null) : options.networkMbps;
    const { uplinks, lacks } = await chooseUplinks({ networkMbps, uplinks: options.uplinks }, entry, allotment.list());
    if (lacks !== null) progress.note(`  note: network guarantees are set aside, but held by nothing: ${lacks}`);
    const overcommit = { ...noOvercommit, ...existing?.overcommit, ...options.overcommit };
    const cloudapi = options.cloudapi === undefined ? existing?.cloudapi : { ...cloudApiPlace(entry), ...defined(options.cloudapi) };
    const dns = changedDns(existing?.dns, options.dns ?? {}, entry.number);
    const code = await placeCode(checkoutPath(), root, realpathSync(process.execPath));
    const made: InstanceConfig = {
      version: 1,
      instance: entry.instance,
      number: entry.number,
      subnet: entry.subnet,
      uidBlocks: entry.uidBlocks,
      storage,
      ...(networkMbps === null ? {} : { networkMbps }),
      ...(uplinks.length === 0 ? {} : { uplinks }),
      ...(isDeepStrictEqual(overcommit, noOvercommit) ? {} : { overcommit }),
      ...(cloudapi === undefined ? {} : { cloudapi }),
      ...(dns === undefined ? {} : { dns }),
      user: accounts[accountName],
      resolverUser: accounts[resolverAccountName],
      nodePath: code.nodePath,
      codePath: code.codePath,
      checkoutPath: checkoutPath(),
    };
    if (JSON.stringify(existing) !== JSON.stringify(made)) saveInstanceConfig(root, made);
    const share = allotment.share(entry.instance);
    return {
      config: made,
      changed: existing !== null && JSON.stringify(existing) !== JSON.stringify(made),
      said: `"${entry.instance}": ${formatCores(share.cpuMillis)}, ${formatMib(share.memoryMib)} memory, ${formatMib(storage.poolSizeMib)} pool (${storage.driver}), ${entry.subnet}${uplinks.length === 0 ? '' : `, ${networkMbps} Mbit/s on ${uplinks.join(', ')}`}`,
    };
  });
  await progress.step('host', () => prepareHost(allotment, config.instance));
  if (options.database === undefined) return { config, changed };
  const store = await progress.step('database', async () => {
    const moved = await changeDatabase(options.database, config, paths);
    return { moved: moved !== null, said: moved === null ? 'as it was' : `the store is in ${moved}` };
  });
  return { config, changed: changed || store.moved };
};

const defined = ({ address, port }: { address: string; port: number | undefined }) => ({ address, ...(port === undefined ? {} : { port }) });

const startServices = async (config: InstanceConfig, paths: InstancePaths, changed: boolean, step: Step, signal?: AbortSignal): Promise<{ said: string }> => {
  const manager = serviceManager(config.instance, config, paths);
  const stampPath = `${paths.run}/code-fingerprint`;
  const fingerprint = `${codeFingerprint(config.checkoutPath)} ${config.nodePath}`;
  const stamp = readStamp(stampPath);
  const before = await manager.running();
  const isNewCode = stamp !== null && stamp !== fingerprint;
  const upgrade = isNewCode && (before.agent || before.control);
  await manager.start({ restart: upgrade || (changed && before.agent) });
  writeFileSync(stampPath, fingerprint);
  using agent = new AgentClient(paths.agentSocket);
  const info = await answers('agent', () => agent.info(), { manager, step, signal });
  if (isNewCode || changed) await manager.renewStandIn();
  using control = new ControlClient(paths.controlSocket);
  await answers('control', () => inStep(control), { manager, step, signal });
  const how = upgrade ? 'agent and control plane upgraded' : before.agent && before.control ? 'agent and control plane run' : 'agent and control plane started';
  return { said: `${how} (${manager.kind}), ${info.machines.running} of ${info.machines.total} machines running` };
};

/** The agent follows a share that has changed while machines run; less memory comes as fast as what they borrowed is taken back. */
const waitForShare = async ({ instance }: InstanceConfig, paths: InstancePaths, progress: Progress, signal?: AbortSignal): Promise<void> => {
  using agent = new AgentClient(paths.agentSocket);
  const allotment = openAllotment();
  /** Another instance that comes or goes may change it meanwhile. */
  const look = async (): Promise<{ share: Share; held: Share; isHeld: boolean }> => {
    const [share, { held }] = [allotment.share(instance), await agent.info()];
    return { share, held, isHeld: held.cpuMillis === share.cpuMillis && held.memoryMib === share.memoryMib };
  };
  if ((await look()).isHeld) return;
  await progress.step('pool', async ({ at }) => {
    for (const deadline = Date.now() + shareTimeoutMs; ; await sleep(sharePollMs)) {
      signal?.throwIfAborted();
      const { share, held, isHeld } = await look();
      const memory = formatMib(share.memoryMib);
      if (isHeld) return { said: `has ${formatCores(share.cpuMillis)} and ${memory} of memory` };
      at(`${formatMib(held.memoryMib)} of memory still; machines give back what is beyond ${memory}`);
      if (Date.now() > deadline)
        return {
          said: `${memory} of memory may be promised; machines still have ${formatMib(held.memoryMib)}, and are held to ${memory} when they use no more`,
        };
    }
  });
};

/** It answers before it has found the agent, and refuses all work until then. */
const inStep = async (control: ControlClient): Promise<void> => {
  if ((await control.info()).agent === null) throw new CenoteError('unavailable', 'it does not reach the agent');
};

const readStamp = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};
