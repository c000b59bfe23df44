/** `cenote destroy`: every trace of an instance goes, but the packages. It works also on one that is half gone already. */
import { existsSync } from 'node:fs';
import { pino } from 'pino';
import { CenoteError, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/logger.ts';
import { AgentClient } from '../client/agent.ts';
import { openAllotment } from '../host/allotment/allotment.ts';
import type { Allotment, AllottedInstance } from '../host/allotment/allotment.ts';
import { instancePaths } from '../model/instance.ts';
import type { InstancePaths } from '../model/instance.ts';
import { removeAccounts } from './account.ts';
import type { DestroyOptions } from './config.ts';
import { eachAtMost } from './each-at-most.ts';
import { lockHost } from './host-lock.ts';
import { removeLeftovers } from './leftovers.ts';
import { serviceManager } from './manager.ts';
import { undoHostChanges } from './prepare-host.ts';
import type { Progress } from './progress.ts';
import { isOurs, removeRootDirectory } from './root-directory.ts';

const deletesAtOnce = 8;
const deleteTimeoutMs = 300_000;

/** What would go, in words; nothing is changed. */
export const whatWouldGo = async (root: string): Promise<string[]> => {
  const paths = instancePaths(root);
  const allotment = openAllotment();
  const entry = allotment.find(root);
  if (entry === null && !existsSync(root)) throw new CenoteError('not_found', `there is no Cenote instance at ${root}`);
  checkIsOurs(root, entry);
  const machines = await machinesOf(paths);
  const others = allotment.list().filter((one) => one.root !== root).length;
  return [
    machines === null
      ? 'all its machines and their data (the agent does not answer, so they cannot be counted)'
      : `${machines.length} machines and their data${machines.length === 0 ? '' : `: ${machines.slice(0, 10).join(', ')}${machines.length > 10 ? ', …' : ''}`}`,
    'its images, platforms and snapshots',
    `its services, links, firewall table, control groups and the directory ${root}`,
    others === 0
      ? 'kernel limits, zram swap and the users "cenote" and "cenote-dns", put back or removed: it is the last instance here'
      : `nothing that ${others === 1 ? 'the other instance' : `the ${others} other instances`} on this host ${others === 1 ? 'needs' : 'need'}`,
  ];
};

export const destroyAll = async (options: DestroyOptions, progress: Progress): Promise<void> => {
  const { root } = options;
  const paths = instancePaths(root);
  const allotment = openAllotment();
  const entry = allotment.find(root);
  if (entry === null && !existsSync(root)) throw new CenoteError('not_found', `there is no Cenote instance at ${root}`);
  checkIsOurs(root, entry);
  const problems: string[] = [];
  await progress.step('machines', () => deleteMachines(paths));
  await progress.step('services', async () => {
    await serviceManager(entry?.instance ?? 'default', null, paths).remove();
    return { said: 'stopped and removed' };
  });
  if (entry !== null) await progress.step('host', () => clean(entry, problems));
  const foreign = removeRoot(root, problems);
  if (foreign.length > 0) progress.note(`  note: ${root} stays, with what is not Cenote's: ${foreign.slice(0, 5).join(', ')}`);
  await progress.step('record', () => forget(allotment, root, problems));
  if (problems.length > 0)
    throw new CenoteError('failed', `removed, but for: ${problems.join('; ')}`, {
      advice: 'run `cenote destroy --yes` again, or `cenote doctor` to see what is left',
    });
};

/** Without its directory gone an instance stays on record, so that what is left can be taken away by the same command later. */
const removeRoot = (root: string, problems: readonly string[]): string[] => {
  try {
    return removeRootDirectory(root);
  } catch (cause) {
    // Node's recursive removal gives no code with its error.
    const why = /EBUSY|resource busy/.test(messageOf(cause))
      ? 'something is mounted there, perhaps by way of another mount of the same file system'
      : messageOf(cause);
    throw new CenoteError('failed', [`${root} cannot be removed: ${why}`, ...problems].join('; '), {
      cause,
      advice: `see what it is (findmnt | grep ${root}), then run \`cenote destroy --yes\` again`,
    });
  }
};

const checkIsOurs = (root: string, entry: AllottedInstance | null): void => {
  if (entry === null && !isOurs(root))
    throw new CenoteError('wrong_state', `${root} is not a Cenote instance: no \`up\` made it, and this host's record does not know it`, {
      fields: [{ field: 'root', message: 'not an instance' }],
    });
};

const machinesOf = async (paths: InstancePaths): Promise<string[] | null> => {
  using agent = new AgentClient(paths.agentSocket);
  try {
    return (await agent.machineList()).map(({ spec }) => spec.name);
  } catch {
    return null;
  }
};

const deleteMachines = async (paths: InstancePaths): Promise<{ said: string }> => {
  using agent = new AgentClient(paths.agentSocket);
  try {
    const machines = await agent.machineList();
    await eachAtMost(deletesAtOnce, machines, ({ id, generation }) =>
      agent.machineDelete(id, generation + 1, { signal: AbortSignal.timeout(deleteTimeoutMs) }),
    );
    return { said: `${machines.length} deleted` };
  } catch (error) {
    // What the agent could not take away is found below, on the host itself.
    return { said: `left to the next steps (${messageOf(error)})` };
  }
};

const clean = async (entry: AllottedInstance, problems: string[]): Promise<{ said: string }> => {
  const logger = createLogger({ name: 'setup', level: 'error', destination: pino.destination({ dest: 2, sync: true }) });
  const found = await removeLeftovers(entry, logger);
  problems.push(...found);
  return { said: found.length === 0 ? `nothing of "${entry.instance}" is left on the host` : `${found.length} things are left` };
};

const forget = async (allotment: Allotment, root: string, problems: string[]): Promise<{ said: string }> => {
  using _host = await lockHost();
  await allotment.unregister(
    root,
    undoHostChanges((message) => problems.push(message)),
  );
  if (allotment.list().length > 0) return { said: 'the host-wide record has forgotten it' };
  await removeAccounts().catch((error: unknown) => problems.push(`users: ${messageOf(error)}`));
  return { said: 'kernel limits and swap are as they were' };
};
