/** What the tables of all networks have alike, of either family, in nft's language: what machines, or routers, are elements of, and what the host serves them. */
import { countDropped, dropCounters } from './drop-rules.ts';
import type { PacketWords } from './packet-words.ts';
import { declarationOf, kindOf } from './set-shapes.ts';
import type { SetShape } from './set-shapes.ts';

/**
 * Where it is seen to that packets are of whom they say: each by itself, before the kernel puts pieces of one together (-400), which asks only
 * for addresses. A forged piece would spoil, or be in, what a neighbour sends.
 */
export const beforeDefragmentation = 'type filter hook prerouting priority -450; policy accept;';

export const machineSets = ({ address }: Pick<PacketWords, 'address'>) =>
  ({
    bound: { key: ['ifname', 'ether_addr', address] },
    hairpin: { key: [address, address] },
    // Further addresses of links: a machine's others, and the machines of a shared network, by its router. Of them, those that strangers reach.
    further: { key: [address] },
    shown: { key: [address] },
    floating_in: { key: [address], value: [address] },
    floating_out: { key: [address], value: [address] },
    published: { key: ['inet_proto', 'inet_service'], value: [address, 'inet_service'] },
    classes: { key: [address], value: ['classid'] },
  }) satisfies Record<string, SetShape>;

export type MachineSet = keyof ReturnType<typeof machineSets>;

export const tableSets = (words: PacketWords): string => `
  ${dropCounters}

  # Who has so many flows that it begins no more for now, and none is begun to it.
  set crowders { type ${words.address}; }
${Object.entries(machineSets(words))
  .map(([name, shape]) => `  ${kindOf(shape)} ${name} { ${declarationOf(shape)} }`)
  .join('\n')}`;

/** What belongs to a flow goes on; what fits in none, and begins none, has a wrong checksum, flags that cannot be, or a header cut short. */
export const knownFlows = 'ct state vmap { established : accept, related : accept, invalid : goto malformed }';

/** `links`: of machines. Counted at who sent it, where that is one. */
export const malformedChain = (links: string): string => `  chain malformed {
    iifname ${links} ${countDropped('malformed', 'iifname')} drop
    ${countDropped('malformed', 'oifname')} drop
  }
`;

/** Of what begins a flow only, so that it costs nothing what belongs to one. */
export const withoutCrowders = ({ ip }: PacketWords, ...sides: ('saddr' | 'daddr')[]): string =>
  sides.map((side) => `${ip} ${side} @crowders ${countDropped('crowded', side === 'saddr' ? 'iifname' : 'oifname')} drop`).join('\n    ');

/** Besides, of the host's own: subnets that hold nobody else, and how often each asks the resolver. */
export const hostSets = ({ address }: PacketWords): string => `
  set whole { type ${address}; flags interval; }
  set resolving { type ${address}; size 65536; flags dynamic, timeout; timeout 1m; }`;

/** From a link to the host: answers, questions to its resolver, pings, and nothing else. */
export const hostServices = (words: PacketWords, gateway: string, resolverPort: number): string => {
  const { ip, icmp } = words;
  return `
    ct state established,related accept
    ${withoutCrowders(words, 'saddr')}
    ${ip} daddr ${gateway} udp dport ${resolverPort} update @resolving { ${ip} saddr limit rate over 500/second burst 1000 packets } ${countDropped('refused', 'iifname')} drop
    ${ip} daddr ${gateway} meta l4proto { tcp, udp } th dport ${resolverPort} accept
    ${ip} daddr ${gateway} ${icmp} type echo-request accept
    ${countDropped('refused', 'iifname')}
    limit rate 100/second reject with icmpx type admin-prohibited
    drop`;
};
