/** What differs between the families in nft's language. */
import type { Family } from '../../model/address.ts';

export interface PacketWords {
  /** Before `saddr` and `daddr`, and after `dnat` and `snat`. */
  ip: string;
  /** The type of an address in a set. */
  address: 'ipv4_addr' | 'ipv6_addr';
  icmp: 'icmp' | 'icmpv6';
  /** A rule for what every machine says unasked, and nobody listens to: no sign of anything wrong. */
  chatter: string;
  /** Matches what would change a neighbour's or a router's mind: nobody on our links has a say in that. */
  meddling: string;
  redirect: string;
  /** Of this host alone, of everybody on a wire, or of nobody. */
  nowhere: string;
  linkLocal: string;
}

export const packetWords: Readonly<Record<Family, PacketWords>> = {
  4: {
    ip: 'ip',
    address: 'ipv4_addr',
    icmp: 'icmp',
    chatter: '',
    meddling: 'icmp type redirect',
    redirect: 'icmp type redirect',
    nowhere: '{ 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0-255.255.255.255 }',
    linkLocal: '169.254.0.0/16',
  },
  6: {
    ip: 'ip6',
    address: 'ipv6_addr',
    icmp: 'icmpv6',
    // Which groups of addresses one listens to (MLD).
    chatter: 'icmpv6 type { 130-132, 143 } drop',
    // Neighbours are permanent entries, and routers tell nothing: solicitations and advertisements of either (also inverse ones), redirects, renumbering.
    meddling: 'icmpv6 type { 133-138, 141, 142 }',
    redirect: 'icmpv6 type nd-redirect',
    nowhere: '{ ::/127, ::ffff:0:0/96, fe80::/10, ff00::/8 }',
    linkLocal: 'fe80::/10',
  },
};
