/**
 * Other software's firewalls that may stop machines' packets: a chain on the forward hook whose policy is drop. In nftables a packet must
 * be accepted by every table, so no rule of ours can overrule theirs.
 */
import { installed, runAny } from '../../exec/run.ts';
import { readSetting } from '../kernel-settings.ts';
import { ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

export interface Obstacle {
  table: string;
  chain: string;
  whose: string;
}

/** From the output of `nft list chains`. */
export const parseObstacles = (text: string): Obstacle[] => {
  const obstacles: Obstacle[] = [];
  let table = '';
  let chain = '';
  for (const line of text.split('\n')) {
    table = /^table (\S+ \S+) \{/.exec(line)?.[1] ?? table;
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (!/hook forward/.test(line) || !/policy drop/.test(line) || / cenote-/.test(table)) continue;
    obstacles.push({ table, chain, whose: ownerOf(text, table) });
  }
  return obstacles;
};

const ownerOf = (text: string, table: string): string => {
  if (table.includes('firewalld')) return 'firewalld';
  if (/chain ufw6?-/.test(text)) return 'ufw';
  if (/chain DOCKER/.test(text)) return 'Docker';
  return 'another firewall';
};

export const examineForwarding = async (): Promise<Finding> => {
  if (!(await installed('nft'))) return warn('forwarding', 'cannot be examined: nftables is not installed');
  const { code, stdout } = await runAny('nft', ['list', 'chains']);
  const obstacles = code === 0 ? parseObstacles(stdout) : [];
  if (obstacles.length > 0) {
    const told = obstacles.map(({ whose, table, chain }) => `${whose} (table ${table}, chain ${chain})`).join(', ');
    return warn('forwarding', `${told} drops forwarded packets by policy: machines may not reach the outside; allow the machines' subnet there`);
  }
  return readSetting('net.ipv4.ip_forward') === 1
    ? ok('forwarding', 'on, and no other firewall drops forwarded packets by policy')
    : ok('forwarding', 'off yet: `cenote up` turns it on; no other firewall is in the way');
};
