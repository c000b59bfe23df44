/** Whether forwarded packets can pass: other software's firewalls may drop them, and no rule of ours can overrule theirs. */
import { installed } from '../../exec/run.ts';
import { forwardingObstacles } from '../../host/network/obstacles.ts';
import { capabilities, hasCapability } from '../host-view.ts';
import { readSetting } from '../kernel-settings.ts';
import { ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

export const examineForwarding = async (): Promise<Finding> => {
  if (!hasCapability(capabilities.netAdmin)) return warn('forwarding', 'can be examined by root only: sudo cenote doctor');
  if (!(await installed('nft'))) return warn('forwarding', 'cannot be examined: nftables is not installed');
  const obstacles = await forwardingObstacles();
  if (obstacles.length > 0) return warn('forwarding', obstacles.join('; '));
  const six = readSetting('net.ipv6.conf.all.forwarding') === 1 ? 'IPv6 too' : 'IPv6 off, so networks of it do not lead outside (docs/networks.md)';
  return readSetting('net.ipv4.ip_forward') === 1
    ? ok('forwarding', `on, and no other firewall drops forwarded packets by policy; ${six}`)
    : ok('forwarding', `off yet: \`cenote up\` turns it on; no other firewall is in the way; ${six}`);
};
