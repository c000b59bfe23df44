/** The real network driver: rtnetlink for links and routes, nftables for who may talk to whom. */
import { readFileSync, writeFileSync } from 'node:fs';
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { resolvConfFor } from '../../dns/resolv-conf.ts';
import { Nftables, NftablesError } from '../../sys/nftables.ts';
import { Connections } from './connections.ts';
import { openFirewall } from './firewall/open.ts';
import { ConntrackFlows } from './flows.ts';
import { Links } from './links.ts';
import type { Network } from './network.ts';
import { openPublishCheck } from './publish-check.ts';
import type { ReservedCheck } from './publish-check.ts';
import { loadRuleset, tableName } from './ruleset.ts';
import { parseSubnet } from './subnet.ts';

export interface NetworkOptions {
  /** Names the nftables table. */
  instance: string;
  /** Unique on the host; names the links. */
  instanceNumber: number;
  /** IPv4, as in `10.80.0.0/16`. */
  subnet: string;
  logger: Logger;
  resolvConfPath?: string | undefined;
  /** Asks the host-wide register of published ports, when there is one; throws to refuse. */
  checkReserved?: ReservedCheck | undefined;
}

const defaultResolverPort = 53;

export const openNetwork = async (options: NetworkOptions): Promise<Network> => {
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(options.instance)) throw invalid('instance', `"${options.instance}" is not a name of an instance`);
  if (!Number.isInteger(options.instanceNumber) || options.instanceNumber < 0 || options.instanceNumber > 9999)
    throw invalid('instanceNumber', `${options.instanceNumber} is out of range (0 to 9999)`);
  const subnet = parseSubnet('subnet', options.subnet);
  const logger = options.logger.child({ component: 'network' });
  const resolvConfPath = options.resolvConfPath ?? '/etc/resolv.conf';
  await using undo = new AsyncDisposableStack();
  const nftables = undo.use(openNftables());
  const links = undo.adopt(new Links({ instanceNumber: options.instanceNumber, subnet, logger }), (opened) => opened.close());
  const flows = undo.adopt(new ConntrackFlows(logger), (opened) => opened.close());
  await links.openGateway();
  enableForwarding();
  let resolverPort = defaultResolverPort;
  const loadRules = (): void => load(nftables, options.instance, loadRuleset(options.instance, options.instanceNumber, subnet, resolverPort), logger);
  loadRules();
  const publishCheck = openPublishCheck({ instance: options.instance, nftables, checkReserved: options.checkReserved });
  const connections = new Connections({ instance: options.instance, instanceNumber: options.instanceNumber, subnet, links, nftables, flows, logger });
  const firewall = openFirewall({ instance: options.instance, subnet, nftables, flows, logger });
  const held = undo.move();
  return {
    subnet: subnet.cidr,
    gateway: subnet.gateway,
    firewall,
    prepare: (slot, netnsFd) => connections.prepare(slot, netnsFd),
    connect: (connection, netnsFd, ceilingMbps) => connections.connect(connection, netnsFd, ceilingMbps),
    publish: (connection) => connections.publish(connection),
    limit: (slot, pid, ceilingMbps) => connections.limit(slot, pid, ceilingMbps),
    disconnect: (slot) => connections.disconnect(slot),
    traffic: (slot) => connections.traffic(slot),
    restore: (kept, prepared) => connections.restore(kept, prepared),
    checkPublish: publishCheck,
    resolvConf: (search) => resolvConfFor(subnet.gateway, resolvConfPath, search),
    resolverAt: (port) => {
      if (port === resolverPort) return;
      resolverPort = port;
      loadRules();
    },
    close: async ({ remove }) => {
      if (held.disposed) return;
      if (remove) {
        await connections.removeAll();
        firewall.removeAll();
        await links.closeGateway();
        nftables.run(`add table inet ${tableName(options.instance)}\ndelete table inet ${tableName(options.instance)}\n`);
      }
      await held.disposeAsync();
    },
  };
};

const openNftables = (): Nftables => {
  try {
    return new Nftables();
  } catch (cause) {
    throw new CenoteError('unavailable', 'nftables: libnftables.so.1 could not be opened', { cause, advice: 'install the package nftables' });
  }
};

/** Rules of an earlier version may have sets of another shape; those cannot be changed in place, and are filled again by `restore`. */
const load = (nftables: Nftables, instance: string, ruleset: string, logger: Logger): void => {
  try {
    nftables.run(ruleset);
  } catch (error) {
    if (!(error instanceof NftablesError) || error.kind === 'missing') throw error;
    logger.warn({ err: error, details: error.details }, 'the loaded rules cannot be changed in place; they are replaced');
    nftables.run(`add table inet ${tableName(instance)}\ndelete table inet ${tableName(instance)}\n${ruleset}`);
  }
};

/** Host-wide, and left on: set-up remembers what it was. Not written when it is on, because writing resets other settings of every link. */
const enableForwarding = (): void => {
  const path = '/proc/sys/net/ipv4/ip_forward';
  if (readFileSync(path, 'latin1').trim() !== '1') writeFileSync(path, '1');
};
