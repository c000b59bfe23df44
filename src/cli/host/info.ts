import { formatCores, formatMib } from '../../base/units.ts';
import { defineCommand } from '../command.ts';
import { detailLines } from '../details.ts';
import type { Detail } from '../details.ts';
import { formatAge, formatMbps, plural } from '../format.ts';
import type { AgentInfo } from '../../model/agent-api.ts';
import type { WireStatus } from '../../model/network.ts';

const share = (guaranteed: number, pool: number, format: (amount: number) => string): string =>
  `${format(guaranteed)} of ${format(pool)} guaranteed (${pool === 0 ? 0 : Math.round((guaranteed / pool) * 100)} %)`;

const uplink = ({ pool, guaranteed, network }: AgentInfo): string[] => {
  if (pool.networkMbps === null) return ['of unknown capacity'];
  const held = network.uplinks.map(({ device, lacks }) => (lacks === null ? `held on ${device}` : `not held: ${lacks}`));
  return [share(guaranteed.networkMbps, pool.networkMbps, formatMbps), ...(held.length === 0 ? ['set aside only: no device is shaped'] : held)];
};

const wire = ({ subnet, device, tag, lacks }: WireStatus): string =>
  `${subnet} at ${device}${tag === undefined ? '' : ` with tag ${tag}`}${lacks === null ? '' : `, not reached: ${lacks}`}`;

const agentDetails = (agent: AgentInfo): Detail[] => [
  [
    'Host',
    `${agent.host.name}: kernel ${agent.host.kernel}, ${plural(agent.host.cpus, 'CPU')}, ${formatMib(agent.host.memoryMib)}, cgroup ${agent.host.cgroup}`,
  ],
  ['Instance', agent.instance],
  ['Agent', `${agent.version}, up ${formatAge(agent.startedAt)}`],
  ['Machines', `${agent.machines.running} running of ${agent.machines.total}`],
  ['CPU', share(agent.guaranteed.cpuMillis, agent.pool.cpuMillis, formatCores)],
  ['Memory', share(agent.guaranteed.memoryMib, agent.pool.memoryMib, formatMib)],
  ['Uplink', uplink(agent)],
  ['Disk', `${share(agent.guaranteed.diskMib, agent.pool.diskMib, formatMib)}, ${formatMib(agent.pool.diskUsedMib)} used`],
  ['Storage', `${agent.storage.driver}, quota ${agent.storage.quota}${agent.storage.snapshots ? '' : ', no snapshots'}`],
  ['Lacks', agent.storage.lacks],
  ['Network', `${agent.network.subnet}, gateway ${agent.network.gateway}`],
  ['Wires', agent.network.wires.map(wire)],
];

export const command = defineCommand({
  args: {},
  flags: {},
  examples: ['info', 'info --json'],
  run: async ({ flags }, context) => {
    const info = await (await context.control()).info({ signal: context.signal });
    if (flags.json) return context.output.json(info);
    const lines = detailLines([
      ['Control plane', `${info.version}, up ${formatAge(info.startedAt)}${info.store === null ? '' : `, store ${info.store}`}`],
      ['You are', info.caller],
      ['CloudAPI', info.cloudapi ?? 'not served'],
      ['Certificate', info.fingerprint],
      ...(info.agent === null ? [['Agent', info.operator ? 'does not answer' : undefined] as const] : agentDetails(info.agent)),
    ]);
    for (const line of lines) context.output.line(line);
  },
});
