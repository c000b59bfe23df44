/** How many packets of a machine, and of a whole network, were dropped, and why: read from where the kernel counts them (see drop-rules.ts). */
import { addressBytes } from '../../model/address.ts';
import type { DroppedPackets } from '../../model/machine.ts';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from '../../sys/netlink.ts';
import { countersOf, listElements } from '../../sys/nft-messages.ts';
import { inNetworkNamespace } from '../../sys/netns.ts';
import { reasonOf, reasons } from './drop-rules.ts';
import type { NftRunner } from '../../sys/nftables.ts';

const interfaceNameBytes = 16;
/** Many are asked for at once, and all of a network are had together. */
const freshMs = 500;

export interface DropsOptions {
  /** Of the network's table, and of its firewall's, which is there only while a machine has it on. */
  table: string;
  firewall: string;
  nftables: NftRunner;
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
    const { links, blocked } = await this.#latest();
    const ofFirewall = addresses.reduce((sum, address) => sum + (blocked.get(addressBytes(address).toString('hex')) ?? 0), 0);
    return { ...links.get(link), ...(ofFirewall > 0 ? { blocked: ofFirewall } : {}) };
  }

  /** Of the network since it has been here, also of machines that have left; blocked at those that there are. */
  async ofNetwork(): Promise<DroppedPackets> {
    const { table, nftables } = this.#options;
    const listing = nftables.run(`list counters table inet ${table}\n`);
    const packets = (reason: string): number => Number(new RegExp(`counter ${reason} \\{\\s+packets (\\d+)`).exec(listing)?.[1] ?? 0);
    const blocked = (await this.#latest()).blocked.values().reduce((sum, count) => sum + count, 0);
    const counted = [...reasons.map((reason) => [reason, packets(reason)] as const), ['blocked', blocked] as const];
    return Object.fromEntries(counted.filter(([, count]) => count > 0));
  }

  /** What was read is no longer so. */
  changed(): void {
    this.#readAt = -Infinity;
  }

  #latest(): Promise<Counted> {
    if (performance.now() - this.#readAt > freshMs) {
      this.#readAt = performance.now();
      this.#read = this.#count();
    }
    return this.#read!;
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
