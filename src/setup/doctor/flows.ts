/** Whether flows between machines go past the usual way here (docs/networks.md). Tried, as an agent would, and taken back. */
import { FlowCache } from '../../host/network/flow-cache/flow-cache.ts';
import { capabilities, hasCapability } from '../host-view.ts';
import { ok } from './finding.ts';
import type { Finding } from './finding.ts';

export const examineFlows = async (): Promise<Finding[]> => {
  if (!hasCapability(capabilities.netAdmin)) return [];
  try {
    (await FlowCache.open())[Symbol.dispose]();
    return [ok('flows', 'datagrams between machines of a network go past rules and routes once their flow is known (tc, BPF)')];
  } catch (error) {
    return [ok('flows', `datagrams between machines go by rules and routes, each: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`)];
  }
};
