/**
 * The host's table of its IPv6 backbone, on which the routers of IPv6 networks are, by links of their own. It has the sets of the other tables
 * (see ruleset.ts) and holds to the same; what is on it are routers, so nothing is published or translated but what leaves the host.
 */
import type { Subnet } from '../../model/subnet.ts';
import { countDropped } from './drop-rules.ts';
import { packetWords } from './packet-words.ts';
import { tableName } from './ruleset.ts';
import { beforeDefragmentation, hostServices, hostSets, knownFlows, malformedChain, tableSets, withoutCrowders } from './table-pieces.ts';

export const backboneName = (instance: string): string => `${instance}-ip6`;
export const backbonePrefix = (instanceNumber: number): string => `cn${instanceNumber}s`;

export const backboneRuleset = (instance: string, prefix: string, subnet: Subnet, resolverPort: number): string => {
  const table = tableName(instance);
  const links = `"${prefix}*"`;
  const { cidr, gateway } = subnet;
  const words = packetWords[6];
  const { chatter, meddling, nowhere } = words;
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

  chain to_resolver {
    type nat hook prerouting priority dstnat; policy accept;
    ${resolverPort === 53 ? '' : `iifname ${links} ip6 daddr ${gateway} meta l4proto { tcp, udp } th dport 53 dnat ip6 to [${gateway}]:${resolverPort}`}
  }
  chain sources {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != ${links} ip6 saddr ${cidr} masquerade
  }

  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${links} goto router_to_host
    iifname != "lo" ip6 daddr ${gateway} counter name strangers drop
  }
  chain router_to_host {${hostServices(words, gateway, resolverPort)}
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
    ip6 daddr @shown accept
    ${countDropped('strangers', 'oifname')} drop
  }
  chain to_outside {
    tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    ${knownFlows}
    ${withoutCrowders(words, 'saddr')}
    ip6 daddr @whole ${countDropped('refused', 'iifname')} reject with icmpv6 type addr-unreachable
  }
}
`;
};
