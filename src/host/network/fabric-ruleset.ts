/**
 * The table of the router of a fabric or a shared network, of one family: what is of the other is dropped where it enters. It has the name and the sets of the host's own (see ruleset.ts) and holds to the same: a packet from
 * a machine's link carries that machine's address and MAC or goes no further. What differs is the way out: by `eth0`, the network's own link
 * on the external network. What machines of a fabric network send there is under its address; machines of a shared one ask the resolver under
 * their own, by which it knows whose they are, and those of a public one are seen by their own everywhere.
 */
import { isShared } from '../../model/network.ts';
import type { NetworkDefinition } from '../../model/network.ts';
import type { Subnet } from '../../model/subnet.ts';
import { countDropped } from './drop-rules.ts';
import { packetWords } from './packet-words.ts';
import { linkPrefix, tableName } from './ruleset.ts';
import { beforeDefragmentation, knownFlows, malformedChain, tableSets, withoutCrowders } from './table-pieces.ts';

export const uplinkName = 'eth0';

export interface FabricRulesetOptions {
  instance: string;
  instanceNumber: number;
  subnet: Subnet;
  definition: NetworkDefinition;
  /** The router's own address, at its link to the host. */
  uplink: string;
  /** Where the host's resolver answers machines. */
  resolver: string;
  /** Whether the host sends on what comes by its links. */
  isForwarded: boolean;
}

export const fabricRuleset = ({ instance, instanceNumber, subnet, definition, uplink, resolver, isForwarded }: FabricRulesetOptions): string => {
  const words = packetWords[subnet.family];
  const { ip, icmp, chatter, meddling, redirect, nowhere, linkLocal } = words;
  const table = tableName(instance);
  const links = `"${linkPrefix(instanceNumber)}*"`;
  const up = `"${uplinkName}"`;
  const { cidr, gateway } = subnet;
  const { internetNat, isPublic = false } = definition;
  // What a machine carries may come from it: what goes there by its link.
  const carries = Object.keys(definition.routes ?? {}).length > 0;
  const hidden = isShared(definition) ? `${ip} daddr != ${resolver} ` : '';
  return `
add table inet ${table}
flush table inet ${table}
table inet ${table} {
${tableSets(words)}

  chain entering {
    ${beforeDefragmentation}
    iifname ${links} goto from_machine
    iifname ${up} ${isPublic ? `${ip} saddr . ${ip} saddr != @hairpin` : `${ip} saddr != ${cidr}`} return
    iifname != "lo" counter name spoofed drop
  }
  chain from_machine {
    ${chatter}
    iifname . ether saddr . ${ip} saddr @bound goto from_known_machine
    ${carries ? 'fib saddr . iif oif exists goto from_known_machine' : ''}
    ${countDropped('spoofed', 'iifname')} drop
  }
  chain from_known_machine {
    ${meddling} ${countDropped('refused', 'iifname')} drop
    ${ip} daddr ${nowhere} ${countDropped('refused', 'iifname')} drop
  }

  chain publish_incoming {
    type nat hook prerouting priority dstnat; policy accept;
    iifname ${links} ${ip} daddr ${gateway} meta l4proto { tcp, udp } th dport 53 dnat ${ip} to ${resolver}
    dnat ${ip} to ${ip} daddr map @floating_in
    iifname ${up} ${ip} daddr ${uplink} dnat ${ip} to meta l4proto . th dport map @published
  }
  chain sources {
    type nat hook postrouting priority srcnat; policy accept;
    oifname ${links} ${ip} saddr . ${ip} daddr @hairpin snat ${ip} to ${gateway}
    oifname ${up} ${ip} daddr != ${resolver} snat ${ip} to ${ip} saddr map @floating_out
    ${isPublic ? '' : `oifname ${up} ${hidden}snat ${ip} to ${uplink}`}
  }

  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${links} goto machine_to_router
    iifname != "lo" ct state established,related accept
    iifname != "lo" counter name strangers drop
  }
  chain machine_to_router {
    ct state established,related accept
    ${withoutCrowders(words, 'saddr')}
    ${ip} daddr ${gateway} ${icmp} type echo-request accept
    ${countDropped('refused', 'iifname')}
    limit rate 100/second reject with icmpx type admin-prohibited
    drop
  }
  chain output {
    type filter hook output priority filter; policy accept;
    oifname ${links} ${redirect} drop
  }

${malformedChain(links)}  chain forward {
    type filter hook forward priority filter; policy drop;
    oifname ${links} goto to_machine
    iifname ${links} goto to_outside
  }
  chain to_machine {
    iifname != ${links} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    ${knownFlows}
    ${withoutCrowders(words, 'saddr', 'daddr')}
    ct status dnat accept
    ${isPublic ? 'accept' : `iifname ${links} accept`}
    ${countDropped('strangers', 'oifname')} drop
  }
  chain to_outside {
    tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    ${knownFlows}
    ${withoutCrowders(words, 'saddr')}
    ${ip} daddr ${resolver} ct status dnat accept
    ${internetNat && isForwarded ? `${ip} daddr != ${linkLocal} accept` : ''}
    ${countDropped('refused', 'iifname')}
    limit rate 100/second reject with icmpx type admin-prohibited
  }
}
`;
};
