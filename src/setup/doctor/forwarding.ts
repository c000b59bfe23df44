/** Whether forwarded packets can pass: other software's firewalls may drop them, and no rule of ours can overrule theirs. */
import { installed } from '../../exec/run.ts';
import { forwardingObstacles, hasBackbone } from '../../host/network/obstacles.ts';
import { capabilities, hasCapability } from '../host-view.ts';
import { readSetting } from '../kernel-settings.ts';
import { ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

export const examineForwarding = async (): Promise<Finding[]> => {
  if (!hasCapability(capabilities.netAdmin)) return [warn('forwarding', 'can be examined by root only: sudo cenote doctor')];
  if (!(await installed('nft'))) return [warn('forwarding', 'cannot be examined: nftables is not installed')];
  return [examineFour(await forwardingObstacles()), examineSix(await forwardingObstacles(6), await hasBackbone())];
};

const examineFour = (obstacles: readonly string[]): Finding => {
  if (obstacles.length > 0) return warn('forwarding', obstacles.join('; '));
  return readSetting('net.ipv4.ip_forward') === 1
    ? ok('forwarding', 'on, and no other firewall drops forwarded packets by policy')
    : ok('forwarding', 'off yet: `cenote up` turns it on; no other firewall is in the way');
};

/** Other firewalls matter where networks of it are; most hosts have none. */
const examineSix = (obstacles: readonly string[], isUsed: boolean): Finding => {
  if (obstacles.length > 0 && isUsed) return warn(six, obstacles.join('; '));
  const state = readSetting('net.ipv6.conf.all.forwarding') === 1 ? 'on' : 'off, so networks of IPv6 do not lead outside (docs/networks.md)';
  return ok(six, obstacles.length === 0 ? `${state}; no other firewall is in the way` : `${state}. Before there are any: ${obstacles.join('; ')}`);
};

const six = 'IPv6 forwarding';
