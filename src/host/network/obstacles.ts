/**
 * What on this host keeps machines' packets from being forwarded, whatever our own table says: in nftables a packet must be
 * accepted by every table, so another firewall's drop stands. Nothing is changed here; the person is told what to do.
 */
import { readFileSync } from 'node:fs';
import { installed, runAny } from '../../exec/run.ts';
import type { Family } from '../../model/address.ts';
import { NetlinkSocket, netlinkProtocols } from '../../sys/netlink.ts';
import { listTables, tableNameOf } from '../../sys/nft-messages.ts';
import { Nftables } from '../../sys/nftables.ts';

interface Chain {
  family: string;
  table: string;
  name: string;
  hook: string;
  policy: string;
}

const chainPattern = /^\tchain (\S+) \{\n(?:\t\ttype filter hook (\S+) (?:device \S+ )?priority [^;]*; policy (\w+);)?/gm;

/** The chains in what `nft list chains` prints; those that hook nowhere have no hook. */
export const parseChains = (listing: string): Chain[] =>
  listing.split(/^(?=table )/m).flatMap((block) => {
    const [, family = '', table = ''] = /^table (\S+) (\S+) \{/.exec(block) ?? [];
    return [...block.matchAll(chainPattern)].map(([, name = '', hook = '', policy = '']) => ({ family, table, name, hook, policy }));
  });

/** A table of both families is told of with IPv4. */
const words: Readonly<Record<Family, { families: ReadonlySet<string>; iptables: string; subnet: string; legacyNames: string }>> = {
  4: { families: new Set(['ip', 'inet']), iptables: 'iptables', subnet: 'the subnet of this instance', legacyNames: '/proc/net/ip_tables_names' },
  6: { families: new Set(['ip6']), iptables: 'ip6tables', subnet: 'its subnet of IPv6', legacyNames: '/proc/net/ip6_tables_names' },
};

/** One line for each obstacle; `hasException` says whether a table lets our links through all the same. */
export const obstaclesAmong = (chains: Chain[], hasException: (family: string, table: string) => boolean, of: Family = 4): string[] => {
  const { families, iptables, subnet } = words[of];
  const others = chains.filter(({ family, table }) => families.has(family) && !table.startsWith('cenote-'));
  const tables = new Map(others.map((chain) => [`${chain.family} ${chain.table}`, chain]));
  return [...tables.values()].flatMap(({ family, table }) => {
    if (hasException(family, table)) return [];
    const inTable = others.filter((chain) => chain.family === family && chain.table === table);
    const drops = (hook: string) => inTable.some((chain) => chain.hook === hook && chain.policy === 'drop');
    const named = (pattern: RegExp) => inTable.some((chain) => pattern.test(chain.name));
    if (table === 'firewalld') {
      return [
        'firewalld rejects forwarded packets of links it does not know: run `firewall-cmd --permanent --zone=trusted --add-source=SUBNET` with the subnet of this instance, then `firewall-cmd --reload`',
      ];
    }
    const found: string[] = [];
    if (drops('forward')) {
      if (named(/^DOCKER-USER$/))
        found.push(
          `Docker drops forwarded packets: run \`${iptables} -I DOCKER-USER -i cn+ -j ACCEPT\` and \`${iptables} -I DOCKER-USER -o cn+ -j ACCEPT\`, and at each start of Docker again`,
        );
      else if (named(/^ufw6?-/))
        found.push(
          'ufw drops forwarded packets: set DEFAULT_FORWARD_POLICY="ACCEPT" in /etc/default/ufw (our own rules let nothing through but what is published), then `ufw reload`',
        );
      else found.push(`the firewall table "${family} ${table}" drops forwarded packets: accept those from and to links named cn* in it`);
    }
    if (drops('input')) {
      const how = named(/^ufw6?-/) ? `run \`ufw allow from SUBNET to any port 53\` with ${subnet}` : 'accept port 53 (udp and tcp) from links named cn* in it';
      found.push(`the firewall table "${family} ${table}" drops packets to this host, so machines may not reach their resolver: ${how}`);
    }
    return found;
  });
};

/** Empty when nothing stands in the way. */
export const forwardingObstacles = async (of: Family = 4): Promise<string[]> => {
  const { iptables, legacyNames } = words[of];
  const legacy = `${iptables}-legacy`;
  using nftables = new Nftables();
  const exception = (family: string, table: string): boolean => {
    const rules = nftables.run(`list table ${family} ${table}`);
    return /^\s*iifname "cn[^"]*".* accept/m.test(rules) && /^\s*oifname "cn[^"]*".* accept/m.test(rules);
  };
  const found = obstaclesAmong(parseChains(nftables.run('list chains')), exception, of);
  if (legacyFilterLoaded(legacyNames) && (await installed(legacy))) {
    const { stdout } = await runAny(legacy, ['-S', 'FORWARD'], { timeoutMs: 10_000 });
    if (/^-P FORWARD DROP/m.test(stdout) && !/^-A FORWARD -[io] cn\S* -j ACCEPT/m.test(stdout)) {
      found.push(`${legacy} drops forwarded packets: run \`${legacy} -I FORWARD -i cn+ -j ACCEPT\` and \`${legacy} -I FORWARD -o cn+ -j ACCEPT\``);
    }
  }
  return found;
};

/** Whether an instance has machines on networks of IPv6, or had. */
export const hasBackbone = async (): Promise<boolean> => {
  using socket = new NetlinkSocket(netlinkProtocols.netfilter);
  return (await socket.dump(listTables())).some((table) => /^cenote-.+-ip6$/.test(tableNameOf(table)));
};

const legacyFilterLoaded = (names: string): boolean => {
  try {
    return readFileSync(names, 'latin1').split('\n').includes('filter');
  } catch {
    return false;
  }
};
