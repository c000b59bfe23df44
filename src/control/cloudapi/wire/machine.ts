/** A machine as CloudAPI shows it: an OS container, of the brand that its clients know from Linux ones. */
import { Type } from 'typebox';
import type { Machine } from '../../../model/control-api.ts';
import type { MachineState } from '../../../model/machine.ts';
import { Tags } from '../../../model/machine.ts';
import { publicId } from '../../../model/public-id.ts';
import { isBefore } from '../version.ts';
import type { ApiVersion } from '../version.ts';
import { addressesOf, nicsOf } from '../../../model/nics.ts';
import { nicsWire, WireNic } from './network.ts';
import type { Places } from './network.ts';

export const machineStateWords = ['provisioning', 'running', 'stopping', 'stopped', 'deleted', 'failed'] as const;
export type MachineStateWord = (typeof machineStateWords)[number];

export const WireMachine = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  type: Type.Literal('smartmachine'),
  brand: Type.Optional(Type.Literal('lx')),
  state: Type.Enum(machineStateWords),
  image: Type.String({ format: 'uuid' }),
  ips: Type.Array(Type.String()),
  memory: Type.Integer({ description: 'MiB, guaranteed' }),
  disk: Type.Integer({ description: 'MiB' }),
  deletion_protection: Type.Boolean(),
  metadata: Type.Record(Type.String(), Type.String()),
  tags: Tags,
  created: Type.String(),
  updated: Type.String(),
  networks: Type.Optional(Type.Array(Type.String({ format: 'uuid' }))),
  nics: Type.Array(WireNic),
  primaryIp: Type.String(),
  firewall_enabled: Type.Boolean(),
  compute_node: Type.String({ format: 'uuid' }),
  package: Type.String(),
  dns_names: Type.Optional(Type.Array(Type.String(), { description: 'of a single machine, while the account has names in the DNS' })),
  error: Type.Optional(Type.String({ description: 'an addition: why it is failed, or how it ended before it is started again' })),
});

const stateWords: Readonly<Record<MachineState, MachineStateWord>> = {
  provisioning: 'provisioning',
  running: 'running',
  stopping: 'stopping',
  stopped: 'stopped',
  failed: 'failed',
  deleting: 'stopping',
};

/** Ours for a word of CloudAPI's; undefined for one that none of our machines is ever in. */
export const statesOf = (word: string): MachineState[] => (Object.keys(stateWords) as MachineState[]).filter((state) => stateWords[state] === word);

export interface MachineView {
  places: Places;
  datacenter: string;
  version: ApiVersion;
}

const later = (one: string, other: string | null | undefined): string => (other !== null && other !== undefined && other > one ? other : one);

const updatedAt = ({ createdAt, updatedAt: changedAt, startedAt, exit }: Machine): string => later(later(later(createdAt, changedAt), startedAt), exit?.at);

/** Why it is failed; and of one that its policy starts again and again, which is `provisioning` between two tries, how it ended. */
const errorOf = ({ error, exit, restarts, restartAt }: Machine): { error?: string } => {
  if (restartAt === undefined) return error === null ? {} : { error };
  const times = restarts === 0 ? '' : `it was started again ${restarts === 1 ? 'once' : `${restarts} times`}, and `;
  return { error: `${error ?? exit?.reason ?? 'it ended'}; ${times}the next try is at ${restartAt}` };
};

export const machineWire = (machine: Machine, { places, datacenter, version }: MachineView) => ({
  id: machine.id,
  name: machine.name,
  type: 'smartmachine' as const,
  ...(isBefore(version, '8.0.0') ? {} : { brand: 'lx' as const }),
  state: stateWords[machine.state],
  image: machine.image.id,
  ips: nicsOf(machine).flatMap(addressesOf),
  memory: machine.resources.memoryMib,
  disk: machine.resources.diskMib,
  deletion_protection: machine.deletionProtection ?? false,
  metadata: machine.metadata ?? {},
  tags: machine.tags,
  created: machine.createdAt,
  updated: updatedAt(machine),
  ...(isBefore(version, '7.1.0') ? {} : { networks: nicsOf(machine).map(({ network }) => network) }),
  nics: nicsWire(machine, places),
  primaryIp: machine.address,
  firewall_enabled: machine.firewallEnabled ?? false,
  compute_node: publicId('host', datacenter),
  package: machine.package?.name ?? '',
  ...errorOf(machine),
});

/** Of one that is gone there is what it was. */
export const deletedMachineWire = (machine: Machine, deletedAt: string, view: MachineView) => ({
  ...machineWire(machine, view),
  state: 'deleted' as const,
  ips: [],
  nics: [],
  networks: [],
  updated: deletedAt,
});
