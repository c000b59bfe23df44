/**
 * What wires need of nftables. The host has no address of its own on a wire, and would ask for the gateway there under any other, which routers
 * do not answer: it asks under a machine's (*speaker*). What comes by a wire for who is not here any more is dropped by the host's own table.
 */
import { tableName } from './ruleset.ts';

export interface LaidWire {
  /** The link that leads to it. */
  link: string;
  subnet: string;
  speaker: string | undefined;
}

const elements = (verb: string, set: string, all: readonly string[]): string => (all.length === 0 ? '' : `${verb} ${set} { ${all.join(', ')} }\n`);

/** In one transaction they are exactly these. */
export const wireRuleset = (instance: string, wires: readonly LaidWire[]): string => {
  const table = tableName(instance);
  const places = wires.map(({ link, subnet }) => `"${link}" . ${subnet}`);
  const wired = `flush set inet ${table} wired\n${elements('add element', `inet ${table} wired`, places)}`;
  if (wires.length === 0) return `${wired}add table arp ${table}\ndelete table arp ${table}\n`;
  const speakers = wires.flatMap(({ link, subnet, speaker }) => (speaker === undefined ? [] : [`"${link}" . ${subnet} : ${speaker}`]));
  return `${wired}add table arp ${table}
delete table arp ${table}
table arp ${table} {
  set wired { type ifname . ipv4_addr; flags interval; }
  map speakers { type ifname . ipv4_addr : ipv4_addr; flags interval; }
  chain output {
    type filter hook output priority filter; policy accept;
    arp operation request oifname . arp saddr ip != @wired arp saddr ip set oifname . arp daddr ip map @speakers
  }
}
${elements('add element', `arp ${table} wired`, places)}${elements('add element', `arp ${table} speakers`, speakers)}`;
};
