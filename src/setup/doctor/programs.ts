/** The programs and services around: packages with their versions, systemd or not, the instance's own services. */
import { CenoteError, messageOf } from '../../base/errors.ts';
import { AgentClient } from '../../client/agent.ts';
import { defaultDevices } from '../../host/network/uplink-check.ts';
import { ControlClient } from '../../client/control.ts';
import { shapedUplinks } from '../../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../../model/instance.ts';
import { findInstanceConfig } from '../config.ts';
import { runsSystemd } from '../host-view.ts';
import { serviceManager } from '../manager.ts';
import { missingPackages, versionOf } from '../packages.ts';
import { fail, ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

const essential = new Set(['crun', 'conmon', 'nftables', 'perl']);

export const examinePrograms = async (): Promise<Finding[]> => {
  const missing = await missingPackages();
  const [crun, conmon] = await Promise.all([versionOf('crun'), versionOf('conmon')]);
  const advice = '`cenote up` installs them';
  const findings = [
    missing.length === 0
      ? ok('packages', 'all installed')
      : missing.some((name) => essential.has(name))
        ? fail('packages', `missing: ${missing.join(', ')}; ${advice}`)
        : warn('packages', `missing: ${missing.join(', ')}; ${advice}`),
    ...(crun === null ? [] : [ok('crun', crun)]),
    ...(conmon === null ? [] : [ok('conmon', conmon)]),
  ];
  return [
    ...findings,
    runsSystemd()
      ? ok('systemd', 'services are units, started at boot')
      : warn('systemd', 'not in charge here: a supervisor of our own keeps services running; after a reboot run `cenote up`'),
  ];
};

export const examineInstance = async (paths: InstancePaths): Promise<Finding[]> => {
  let config: InstanceConfig | null;
  try {
    config = findInstanceConfig(paths.root);
    if (config === null) return [ok('instance', `none at ${paths.root} yet: \`cenote up\` makes it`)];
  } catch (error) {
    return [fail('instance', messageOf(error))];
  }
  using agent = new AgentClient(paths.agentSocket);
  using control = new ControlClient(paths.controlSocket);
  const answer = async (name: string, ask: () => Promise<string>): Promise<Finding> => {
    try {
      return ok(name, await ask());
    } catch (error) {
      if (error instanceof CenoteError && error.code === 'forbidden') return ok(name, 'is there, for root and the group cenote only');
      return warn(name, `${messageOf(error)}; machines that run go on; \`cenote up\` starts it`);
    }
  };
  const services = await Promise.all([
    answer('agent', async () => {
      const { machines, storage } = await agent.info();
      return `answers; ${machines.running} of ${machines.total} machines running; storage ${storage.driver}, quota ${storage.quota}${storage.lacks.length === 0 ? '' : `, lacks ${storage.lacks.join('; ')}`}`;
    }),
    answer('control plane', async () => `answers; store ${(await control.info()).store}`),
    examineStandIn(config, paths),
    ...examineUplinks(config, agent),
  ]);
  return [...services, ...(await examineWires(agent))];
};

/** Only where public networks have addresses in use on any. */
const examineWires = async (agent: AgentClient): Promise<Finding[]> => {
  try {
    const { wires } = (await agent.info()).network;
    const lacking = wires.flatMap(({ subnet, lacks }) => (lacks === null ? [] : `${subnet} is not reached: ${lacks}`));
    if (lacking.length > 0) return [warn('wires', lacking.join('; '))];
    return wires.length === 0 ? [] : [ok('wires', `public networks are reached: ${wires.map(({ subnet, device }) => `${subnet} at ${device}`).join(', ')}`)];
  } catch {
    return []; // said of the agent itself
  }
};

/** Nobody asks it anything: that it runs is all there is to see. */
const examineStandIn = async (config: InstanceConfig, paths: InstancePaths): Promise<Finding> =>
  (await serviceManager(config.instance, config, paths).running())['stand-in']
    ? ok('stand-in', 'runs; it governs memory while there is no agent')
    : warn('stand-in', 'does not run: without the agent guarantees of memory would be those that the kernel was told last; `cenote up` starts it');

/** Only where guarantees are to hold. */
const examineUplinks = (config: InstanceConfig, agent: AgentClient): Promise<Finding>[] => {
  const shaped = shapedUplinks(config);
  return shaped === undefined ? [] : [examineUplink(shaped.devices, agent)];
};

const examineUplink = async (devices: readonly string[], agent: AgentClient): Promise<Finding> => {
  const elsewhere = (await defaultDevices()).filter((device) => !devices.includes(device));
  try {
    const { network } = await agent.info();
    const lacking = network.uplinks.flatMap(({ lacks }) => lacks ?? []);
    if (lacking.length > 0) return warn('uplink', `network guarantees do not hold: ${lacking.join('; ')}`);
  } catch {
    // Said of the agent itself; what holds is in the kernel.
  }
  return elsewhere.length === 0
    ? ok('uplink', `network guarantees hold for what leaves by ${devices.join(', ')}`)
    : warn(
        'uplink',
        `network guarantees hold by ${devices.join(', ')} only, and there is a default route by ${elsewhere.join(', ')}: cenote up --uplink default`,
      );
};
