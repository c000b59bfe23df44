/**
 * The instance's nftables table. Rules are fixed when the table is loaded; machines come and go as elements of its sets, so
 * that a change costs the same with ten machines and ten thousand, and is one transaction.
 *
 * What it holds to: a packet from a machine's link carries that machine's own address and MAC or goes no further; machines
 * reach the host's own services only where named here; nobody but neighbours and published ports reaches a machine.
 */
import type { Attachment, Further } from './attachment.ts';
import { macOf } from '../../model/mac.ts';
import type { Subnet } from '../../model/subnet.ts';
import { countDropped } from './drop-rules.ts';
import { packetWords } from './packet-words.ts';
import { beforeDefragmentation, hostServices, hostSets, knownFlows, malformedChain, tableSets, withoutCrowders } from './table-pieces.ts';
import type { MachineSet } from './table-pieces.ts';
import type { NftRunner } from '../../sys/nftables.ts';

export const tableName = (instance: string): string => `cenote-${instance}`;
export const linkPrefix = (instanceNumber: number): string => `cn${instanceNumber}v`;

export interface RulesetOptions {
  instance: string;
  instanceNumber: number;
  subnet: Subnet;
  resolverPort: number;
  /** Devices with a queue of ours, in which each machine has a class. */
  uplinks: readonly string[];
}

/** Loads the rules anew without touching the sets: no packet of a running machine is lost when the agent restarts. */
export const loadRuleset = ({ instance, instanceNumber, subnet, resolverPort, uplinks }: RulesetOptions): string => {
  const table = tableName(instance);
  const links = `"${linkPrefix(instanceNumber)}*"`;
  const { cidr, gateway } = subnet;
  const words = packetWords[4];
  return `
add table inet ${table}
flush table inet ${table}
table inet ${table} {
${tableSets(words)}
${hostSets(words)}
  # Subnets on wires, by the links that lead to them.
  set wired { type ifname . ipv4_addr; flags interval; }

  chain entering {
    ${beforeDefragmentation}
    iifname ${links} goto from_machine
    iifname != "lo" ip saddr ${cidr} counter name spoofed drop
    iifname != "lo" ip saddr @further counter name spoofed drop
  }
  # Anything but IPv4 fails the lookup, so it is dropped as well.
  chain from_machine {
    iifname . ether saddr . ip saddr @bound goto from_known_machine
    ${countDropped('spoofed', 'iifname')} drop
  }
  # Routes are not changed on a machine's word. The host's loopback, multicast and broadcast are not for machines; route_localnet on the links makes the first a must.
  chain from_known_machine {
    icmp type redirect ${countDropped('refused', 'iifname')} drop
    ip daddr { 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0-255.255.255.255 } ${countDropped('refused', 'iifname')} drop
  }

  chain publish_incoming {
    type nat hook prerouting priority dstnat; policy accept;
    ${resolverPort === 53 ? '' : `iifname ${links} ip daddr ${gateway} meta l4proto { tcp, udp } th dport 53 dnat ip to ${gateway}:${resolverPort}`}
    dnat ip to ip daddr map @floating_in
    fib daddr type local jump publish
  }
  chain publish_local {
    type nat hook output priority -100; policy accept;
    dnat ip to ip daddr map @floating_in
    fib daddr type local jump publish
  }
  chain publish {
    ip daddr ${gateway} meta l4proto { tcp, udp } th dport 53 return
    dnat ip to meta l4proto . th dport map @published
  }
  chain sources {
    type nat hook postrouting priority srcnat; policy accept;
    oifname ${links} ip saddr 127.0.0.0/8 snat ip to ${gateway}
    oifname ${links} ip saddr . ip daddr @hairpin snat ip to ${gateway}
    oifname != ${links} snat ip to ip saddr map @floating_out
    oifname != ${links} ip saddr ${cidr} masquerade
  }

  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${links} goto machine_to_host
    iifname != "lo" ip daddr ${gateway} counter name strangers drop
  }
  chain machine_to_host {${hostServices(words, gateway, resolverPort)}
  }
  # A packet that goes back out of the link it came from (a machine calling its own published port) needs no ICMP redirect.
  chain output {
    type filter hook output priority filter; policy accept;
    oifname ${links} icmp type redirect drop
  }

${malformedChain(links)}  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname ${links} goto to_machine
    iifname ${links} goto to_outside
    ip daddr @whole counter name strangers reject with icmp type host-unreachable
    # Who was here a moment ago, and has moved along the wire: it does not go on by the host's default route.
    iifname . ip daddr @wired counter name strangers drop
  }
  chain to_machine {
    iifname != ${links} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    ${knownFlows}
    ${withoutCrowders(words, 'saddr', 'daddr')}
    ct status dnat accept
    iifname ${links} goto neighbours
    ip daddr @shown accept
    ${countDropped('strangers', 'oifname')} drop
  }
  # Neighbour to neighbour. One account owns all machines for now; firewall rules find their place here.
  chain neighbours {
    accept
  }
  # Link-local addresses are where a cloud gives its hosts their credentials. Invalid packets are not translated, so they would show inner addresses.
  # Here the source is the machine's own, also of answers by a published port: sources are translated only when a packet is about to leave.
  chain to_outside {
    ${uplinks.length === 0 ? '' : `oifname { ${uplinks.map((name) => `"${name}"`).join(', ')} } meta priority set ip saddr map @classes`}
    tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    ${knownFlows}
    ${withoutCrowders(words, 'saddr')}
    ip daddr 169.254.0.0/16 ${countDropped('refused', 'iifname')} reject with icmpx type admin-prohibited
    ip daddr @whole ${countDropped('refused', 'iifname')} reject with icmp type host-unreachable
  }
}
`;
};

/** What one connected machine is in the table's sets, its link being called by the prefix and its slot; `classOf` where it has a class on the uplink. */
export const elementsOf = (prefix: string, connection: Attachment, classOf?: (address: string) => string): Record<MachineSet, string[]> => ({
  bound: [connection, ...furtherOf(connection)].map(({ address }) => `"${prefix}${connection.slot}" . ${macOf(connection.address)} . ${address}`),
  further: furtherOf(connection).map(({ address }) => address),
  shown: furtherOf(connection).flatMap(({ address, isShown }) => (isShown ? [address] : [])),
  hairpin: [`${connection.address} . ${connection.address}`],
  floating_in: floatingOf(connection).map((address) => `${address} : ${connection.address}`),
  floating_out: floatingOf(connection)
    .slice(0, 1)
    .map((address) => `${connection.address} : ${address}`),
  published: connection.publish.map((port) => `${port.protocol} . ${port.hostPort} : ${connection.address} . ${port.machinePort}`),
  // What is seen by an address behind the link is in the class of the link's own.
  classes: classOf === undefined ? [] : [connection, ...furtherOf(connection)].map(({ address }) => `${address} : ${classOf(connection.address)}`),
});

const floatingOf = ({ floating = [] }: Attachment): readonly string[] => floating;
const furtherOf = ({ further = [] }: Attachment): readonly Further[] => further;

/** A command on the elements of one set; nothing when there are none. */
export const change = (verb: 'add' | 'delete', instance: string, set: string, elements: readonly string[]): string =>
  elements.length === 0 ? '' : `${verb} element inet ${tableName(instance)} ${set} { ${elements.join(', ')} }\n`;

/** Harmless when it is so already. */
export const changeWhole = (verb: 'add' | 'delete', nftables: NftRunner, instance: string, subnets: readonly string[]): void => {
  if (subnets.length === 0) return;
  // What is deleted must be there.
  nftables.run(change('add', instance, 'whole', subnets) + (verb === 'delete' ? change('delete', instance, 'whole', subnets) : ''));
};

export const replaceWhole = (nftables: NftRunner, instance: string, subnets: readonly string[]): void => {
  nftables.run(`flush set inet ${tableName(instance)} whole\n${change('add', instance, 'whole', subnets)}`);
};
