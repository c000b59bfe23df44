/** How many of a machine's packets were dropped, and why: read from where the kernel counts them (see drop-rules.ts). */
import { addressBytes } from '../../model/address.ts';
import type { DroppedPackets } from '../../model/machine.ts';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from '../../sys/netlink.ts';
import { countersOf, listElements } from '../../sys/nft-messages.ts';
import { inNetworkNamespace } from '../../sys/netns.ts';
import { reasonOf } from './drop-rules.ts';

const interfaceNameBytes = 16;
/** Many are asked for at once, and all of a network are had together. */
const freshMs = 500;

export interface DropsOptions {
  /** Of the network's table, and of its firewall's, which is there only while a machine has it on. */
  table: string;
  firewall: string;
  netnsFd?: number | undefined;
}

interface Counted {
  links: Map<string, DroppedPackets>;
  /** Blocked by the firewall, by address in hexadecimal. */
  blocked: Map<string, number>;
}

export class Drops {
  readonly #options: DropsOptions;
  #read: Promise<Counted> | undefined;
  #readAt = -Infinity;

  constructor(options: DropsOptions) {
    this.#options = options;
  }

  /** Of the machine with this link and these addresses; nothing is said of reasons for which none were. */
  async of(link: string, addresses: readonly string[]): Promise<DroppedPackets> {
    if (performance.now() - this.#readAt > freshMs) {
      this.#readAt = performance.now();
      this.#read = this.#count();
    }
    const { links, blocked } = await this.#read!;
    const ofFirewall = addresses.reduce((sum, address) => sum + (blocked.get(addressBytes(address).toString('hex')) ?? 0), 0);
    return { ...links.get(link), ...(ofFirewall > 0 ? { blocked: ofFirewall } : {}) };
  }

  /** What was read is no longer so. */
  changed(): void {
    this.#readAt = -Infinity;
  }

  async #count(): Promise<Counted> {
    const { table, firewall, netnsFd } = this.#options;
    const open = () => new NetlinkSocket(netlinkProtocols.netfilter);
    using socket = netnsFd === undefined ? open() : inNetworkNamespace(netnsFd, open);
    const links = new Map<string, DroppedPackets>();
    for (const { key, packets } of await countersIn(socket, table, 'dropped')) {
      const link = key.toString('latin1', 0, interfaceNameBytes).replace(/\0.*$/s, '');
      const reason = reasonOf(key.readUInt32LE(interfaceNameBytes));
      if (reason !== undefined && packets > 0) links.set(link, { ...links.get(link), [reason]: packets });
    }
    const blocked = await countersIn(socket, firewall, 'blocked_at');
    return { links, blocked: new Map(blocked.map(({ key, packets }) => [key.toString('hex'), packets])) };
  }
}

const countersIn = async (socket: NetlinkSocket, table: string, set: string): Promise<{ key: Buffer; packets: number }[]> => {
  try {
    return (await socket.dump(listElements(table, set))).flatMap(countersOf);
  } catch (error) {
    // There is no such table now.
    if (error instanceof NetlinkError && error.code === 'ENOENT') return [];
    throw error;
  }
};
