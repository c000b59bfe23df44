/** Whether network guarantees can hold on this kernel, should an operator say what the uplink carries. */
import { canShape } from '../../host/network/uplink-check.ts';
import { capabilities, hasCapability } from '../host-view.ts';
import { ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

export const examineShaping = async (): Promise<Finding> => {
  if (!hasCapability(capabilities.netAdmin) || !hasCapability(capabilities.sysAdmin))
    return warn('shaping', 'can be examined by root only: sudo cenote doctor');
  return (await canShape())
    ? ok('shaping', 'network guarantees can hold on the uplink (HTB)')
    : warn('shaping', 'no HTB in this kernel: with `up --net-capacity` network guarantees are set aside, but held by nothing');
};
