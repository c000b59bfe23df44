/** What is on one network by one link: a machine, or a router that stands for machines. */
import { invalid } from '../../base/errors.ts';
import type { PublishedPort } from '../../model/machine.ts';
import { isMachineAddress } from '../../model/subnet.ts';
import type { Subnet } from '../../model/subnet.ts';
import type { InnerEnd } from './inner-end.ts';

/** One more address that is reached by a link. */
export interface Further {
  address: string;
  /** Whose flows are forgotten with it. */
  machine: string;
  /** Strangers reach it, and it is seen outside as it is. */
  isShown: boolean;
  /** The machine at the link has it; else others do, whom it leads to. */
  isInside: boolean;
}

/** A machine on this network, by one link. */
export interface Attachment {
  slot: number;
  machine: string;
  address: string;
  publish: PublishedPort[];
  /** Inside it is `eth` and this number. */
  index: number;
  leads: InnerEnd['leads'];
  /** Of a router: the addresses of its machines, where they are not hidden by its own. Of a machine: those that it has beside the first. */
  further?: readonly Further[] | undefined;
  /** Of what it sends out of the host. */
  guaranteeMbps: number;
  /** Floating addresses that are translated to its own and back; it is seen outside as the first. */
  floating?: readonly string[] | undefined;
}

/** Of a machine that runs while the agent comes back. */
export interface KeptAttachment extends Attachment {
  /** Null: a router, which its own keeper looks after. */
  pid: number | null;
  ceilingMbps: number | null;
}

const largestSlot = 999_999;

export const checkAttachment = (subnet: Subnet, connection: Attachment): void => {
  checkSlot(connection.slot);
  if (!isMachineAddress(subnet, connection.address)) throw invalid('address', `"${connection.address}" is not an address for machines in ${subnet.cidr}`);
  for (const { address, isInside } of connection.further ?? [])
    if (isInside && !isMachineAddress(subnet, address)) throw invalid('address', `"${address}" is not an address for machines in ${subnet.cidr}`);
  const seen = new Set<string>();
  for (const { protocol, hostPort, machinePort } of connection.publish) {
    if (protocol !== 'tcp' && protocol !== 'udp') throw invalid('publish', `"${String(protocol)}" is not tcp or udp`);
    for (const port of [hostPort, machinePort])
      if (!Number.isInteger(port) || port < 1 || port > 65535) throw invalid('publish', `${port} is not a port (1 to 65535)`);
    if (seen.has(`${protocol} ${hostPort}`)) throw invalid('publish', `${protocol} port ${hostPort} is named twice`);
    seen.add(`${protocol} ${hostPort}`);
  }
};

export const furtherOf = ({ further = [] }: Attachment): string[] => further.map(({ address }) => address);
/** As the link has it that leads to the machine. */
export const floatingFurther = (machine: string, address: string): Further => ({ machine, address, isShown: true, isInside: false });
export const insideOf = ({ further = [] }: Attachment): string[] => further.flatMap(({ address, isInside }) => (isInside ? [address] : []));

export const interfaceName = (index: number): string => `eth${index}`;

export const checkSlot = (slot: number): void => {
  if (!Number.isInteger(slot) || slot < 0 || slot > largestSlot) throw invalid('slot', `${slot} is not a slot (0 to ${largestSlot})`);
};

export const samePort = (one: PublishedPort, other: PublishedPort): boolean =>
  one.protocol === other.protocol && one.hostPort === other.hostPort && one.machinePort === other.machinePort;
export const difference = (from: readonly string[], without: readonly string[]): string[] => from.filter((one) => !without.includes(one));
