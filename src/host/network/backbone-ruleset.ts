/**
 * The host's table of its IPv6 backbone, on which the routers of IPv6 networks are, by links of their own. It has the sets of the other tables
 * (see ruleset.ts) and holds to the same; what is on it are routers, at which the ports of machines behind them are published.
 */
import type { Subnet } from '../../model/subnet.ts';
import { countDropped } from './drop-rules.ts';
import { packetWords } from './packet-words.ts';
import { tableName } from './ruleset.ts';
import { beforeDefragmentation, hostServices, hostSets, knownFlows, malformedChain, tableSets, withoutCrowders } from './table-pieces.ts';

export const backboneName = (instance: string): string => `${instance}-ip6`;
export const backbonePrefix = (instanceNumber: number): string => `cn${instanceNumber}s`;

export interface BackboneRulesetOptions {
  /** Of the table. */
  instance: string;
  /** Of links' names. */
  prefix: string;
  subnet: Subnet;
  resolverPort: number;
  /** Devices with a queue of ours, in which each router has a class. */
  uplinks: readonly string[];
  /** Whether the host sends on what comes from outside: else who asks at a published port is refused, and not left without an answer. */
  isForwarded: boolean;
}

export const backboneRuleset = ({ instance, prefix, subnet, resolverPort, uplinks, isForwarded }: BackboneRulesetOptions): string => {
  const table = tableName(instance);
  const links = `"${prefix}*"`;
  const { cidr, gateway } = subnet;
  const words = packetWords[6];
  const { chatter, meddling, redirect, nowhere } = words;
  return `
add table inet ${table}
flush table inet ${table}
table inet ${table} {
${tableSets(words)}
${hostSets(words)}

  chain entering {
    ${beforeDefragmentation}
    iifname ${links} goto from_router
    iifname != "lo" ip6 saddr ${cidr} counter name spoofed drop
    iifname != "lo" ip6 saddr @further counter name spoofed drop
  }
  chain from_router {
    ${chatter}
    iifname . ether saddr . ip6 saddr @bound goto from_known_router
    ${countDropped('spoofed', 'iifname')} drop
  }
  chain from_known_router {
    ${meddling} ${countDropped('refused', 'iifname')} drop
    ip6 daddr ${nowhere} ${countDropped('refused', 'iifname')} drop
  }

  chain publish_incoming {
    type nat hook prerouting priority dstnat; policy accept;
    ${resolverPort === 53 ? '' : `iifname ${links} ip6 daddr ${gateway} meta l4proto { tcp, udp } th dport 53 dnat ip6 to [${gateway}]:${resolverPort}`}
    ${isForwarded ? 'fib daddr type local jump publish' : ''}
  }
  # Not the loopback's: the kernel takes no answers to it from a link.
  chain publish_local {
    type nat hook output priority -100; policy accept;
    ip6 daddr != ::1 fib daddr type local jump publish
  }
  chain publish {
    ip6 daddr ${gateway} meta l4proto { tcp, udp } th dport 53 return
    dnat ip6 to meta l4proto . th dport map @published
  }
  chain sources {
    type nat hook postrouting priority srcnat; policy accept;
    oifname ${links} ip6 saddr . ip6 daddr @hairpin snat ip6 to ${gateway}
    oifname != ${links} ip6 saddr ${cidr} masquerade
  }

  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${links} goto router_to_host
    iifname != "lo" ip6 daddr ${gateway} counter name strangers drop
  }
  chain router_to_host {${hostServices(words, gateway, resolverPort)}
  }
  chain output {
    type filter hook output priority filter; policy accept;
    oifname ${links} ${redirect} drop
  }

${malformedChain(links)}  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname ${links} goto to_router
    iifname ${links} goto to_outside
    ip6 daddr @whole counter name strangers reject with icmpv6 type addr-unreachable
  }
  chain to_router {
    iifname != ${links} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    ${knownFlows}
    ${withoutCrowders(words, 'saddr', 'daddr')}
    ct status dnat accept
    ip6 daddr @shown accept
    ${countDropped('strangers', 'oifname')} drop
  }
  chain to_outside {
    ${uplinks.length === 0 ? '' : `oifname { ${uplinks.map((name) => `"${name}"`).join(', ')} } meta priority set ip6 saddr map @classes`}
    tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    ${knownFlows}
    ${withoutCrowders(words, 'saddr')}
    ip6 daddr @whole ${countDropped('refused', 'iifname')} reject with icmpv6 type addr-unreachable
  }
}
`;
};
