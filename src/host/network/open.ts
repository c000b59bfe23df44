/**
 * The real network driver: rtnetlink for links and routes, nftables for who may talk to whom. A machine's NICs are each a link on one network;
 * what they have in common is here.
 */
import { noCrash } from '../../base/crash-point.ts';
import type { CrashPoints } from '../../base/crash-point.ts';
import { CenoteError, invalid } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { resolvConfFor } from '../../dns/resolv-conf.ts';
import { isShared, subnetOf, wiredOf } from '../../model/network.ts';
import { runDirectoryOf } from '../../model/instance.ts';
import { externalNetwork, nicsOf } from '../../model/nics.ts';
import type { Nic } from '../../model/network.ts';
import { parseSubnet } from '../../model/subnet.ts';
import { Backbone } from './backbone.ts';
import { FlowCache } from './flow-cache/flow-cache.ts';
import { Firewalls } from './firewalls.ts';
import { enableForwarding, forwards6 } from './forwarding.ts';
import { Machines } from './machine-nics.ts';
import type { Network } from './network.ts';
import { openPublishCheck } from './publish-check.ts';
import type { ReservedCheck } from './publish-check.ts';
import { Routers } from './routers.ts';
import { loadRuleset, tableName } from './ruleset.ts';
import { openSegment } from './segment.ts';
import { Uplinks, releaseUplinks } from './uplinks.ts';
import type { UplinksOptions } from './uplinks.ts';
import { Wires } from './wires.ts';

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
  crash?: CrashPoints | undefined;
  /** How long a fabric network's router stays after its last machine. */
  routerLingerMs?: number | undefined;
  /** How often it is looked whether networks are on their wires. */
  wireLookMs?: number | undefined;
  /** The devices on which guarantees are to hold, and what each carries; absent: nothing is shaped. */
  uplinks?: Pick<UplinksOptions, 'devices' | 'capacityMbps' | 'lookMs'> | undefined;
}

const defaultResolverPort = 53;

export const openNetwork = async (options: NetworkOptions): Promise<Network> => {
  const { instance, instanceNumber } = options;
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(instance)) throw invalid('instance', `"${instance}" is not a name of an instance`);
  if (!Number.isInteger(instanceNumber) || instanceNumber < 0 || instanceNumber > 9999)
    throw invalid('instanceNumber', `${instanceNumber} is out of range (0 to 9999)`);
  const subnet = parseSubnet('subnet', options.subnet);
  const logger = options.logger.child({ component: 'network' });
  const resolvConfPath = options.resolvConfPath ?? '/etc/resolv.conf';
  await using undo = new AsyncDisposableStack();
  const uplinks =
    options.uplinks === undefined ? undefined : undo.adopt(new Uplinks({ instanceNumber, subnet, ...options.uplinks, logger }), (opened) => opened.close());
  await (uplinks === undefined ? releaseUplinks(instanceNumber) : uplinks.open());
  const wires = undo.adopt(new Wires({ instance, instanceNumber, logger, lingerMs: options.routerLingerMs, lookMs: options.wireLookMs }), (opened) =>
    opened.close({ remove: false }),
  );
  const cache = await openFlowCache(logger);
  if (cache !== undefined) undo.use(cache);
  const host = undo.use(await openSegment({ instance, instanceNumber, subnet, uplinks, wires, cache, logger }));
  enableForwarding();
  const loadRules = (resolverPort: number): void =>
    host.loadRules(loadRuleset({ instance, instanceNumber, subnet, resolverPort, uplinks: options.uplinks?.devices ?? [] }));
  let resolverPort = defaultResolverPort;
  loadRules(resolverPort);
  const publishCheck = openPublishCheck({ instance, checkReserved: options.checkReserved });
  const backbone = undo.adopt(new Backbone({ instance, instanceNumber, uplinks, cache, logger }), (opened) => opened.close({ remove: false }));
  await backbone.openGateway();
  const firewalls = new Firewalls();
  await firewalls.add(externalNetwork, { firewall: host.firewall, account: null });
  const routers = new Routers({
    instance,
    instanceNumber,
    directory: `${runDirectoryOf(instance)}/networks`,
    host,
    backbone,
    cache,
    logger,
    crash: options.crash ?? noCrash,
    onOpen: ({ id, account }, segment) => firewalls.add(id, { firewall: segment.firewall, account }),
    onClose: (network) => firewalls.remove(network),
    lingerMs: options.routerLingerMs,
  });
  const machines = new Machines({ host, routers });
  const held = undo.move();
  return {
    subnet: subnet.cidr,
    gateway: subnet.gateway,
    firewall: firewalls,
    knows: (network) => network === externalNetwork || routers.definition(network) !== undefined,
    define: (definition) => {
      if (isShared(definition)) wires.know(definition.subnet, wiredOf(definition));
      return routers.define(definition);
    },
    prepare: (slot, netnsFd) => host.connections.prepare(slot, netnsFd),
    connect: (connection, netnsFd, ceilingMbps = null) => machines.connect(connection, netnsFd, ceilingMbps),
    publish: (connection) => machines.publish(connection),
    setNics: (connection, pid, ceilingMbps) => machines.setNics(connection, pid, ceilingMbps),
    limit: (slot, pid, ceilingMbps) => machines.limit(slot, pid, ceilingMbps),
    guarantee: (slot, guaranteeMbps) => machines.guarantee(slot, guaranteeMbps),
    uplinks: () => uplinks?.status() ?? [],
    wires: () => wires.status(),
    float: (address, machine, wired) => {
      if (wired !== undefined) wires.know(wired.subnet, wired);
      return machines.floating.set(address, machine);
    },
    disconnect: (slot) => machines.disconnect(slot),
    traffic: (slot) => machines.traffic(slot),
    usage: (network) => machines.usage(network),
    restore: async (kept, prepared) => {
      await machines.restore(kept, prepared);
      await uplinks?.restored();
    },
    checkPublish: (publish, nics) => publishCheck(publish, machines.publishedIn(nics)),
    demandReached: (publish, nics) => {
      if (publish.length > 0 && !forwards6() && machines.publishedIn(nics).every((family) => family === 6)) throw unreached();
    },
    gatewayOf: (network) => (network === externalNetwork ? subnet.gateway : (routers.definition(network)?.gateway ?? null)),
    resolvConf: (search, nics) => resolvConfOf(search, nics, routers, subnet.gateway, resolvConfPath),
    resolverAt: (port) => {
      if (port !== resolverPort) loadRules(port);
      resolverPort = port;
      backbone.resolverAt(port);
    },
    close: async ({ remove }) => {
      if (held.disposed) return;
      await routers.close({ remove });
      if (remove) {
        await wires.close({ remove });
        await host.connections.removeAll();
        host.firewall.removeAll();
        await host.links.closeGateway();
        host.nftables.run(`add table inet ${tableName(instance)}\ndelete table inet ${tableName(instance)}\n`);
        await backbone.close({ remove });
      }
      await held.disposeAsync();
      if (remove) await releaseUplinks(instanceNumber);
    },
  };
};

const unreached = (): CenoteError =>
  new CenoteError('unsupported', 'ports of a machine that has IPv6 alone are not reached from outside: this host sends no IPv6 on', {
    fields: [{ field: 'publish', message: 'this host sends no IPv6 on' }],
    advice: 'on the host: sysctl net.ipv6.conf.all.forwarding=1; or let the machine be on a network of IPv4 as well',
  });

/** Undefined where there can be none: everything goes the usual way. */
const openFlowCache = async (logger: Logger): Promise<FlowCache | undefined> => {
  try {
    return await FlowCache.open();
  } catch (error) {
    logger.info({ err: error }, 'flows between machines are not cached: the kernel has not what it takes');
    return undefined;
  }
};

/** A network's own resolvers where it has any, else the host's, by the router of the machine's primary network. */
const resolvConfOf = (search: readonly string[], nics: readonly Nic[] | undefined, routers: Routers, gateway: string, hostPath: string): string => {
  const primary = nicsOf({ address: '', nics }).find((nic) => nic.primary)?.network ?? externalNetwork;
  if (primary === externalNetwork) return resolvConfFor(gateway, hostPath, search);
  const definition = routers.definition(primary);
  if (definition === undefined) throw new CenoteError('unavailable', `the host does not know the network ${primary}`);
  const { resolvers } = definition;
  const byRouter = resolvConfFor(subnetOf(definition).gateway, hostPath, search);
  return resolvers.length === 0 ? byRouter : byRouter.replace(/^nameserver .*\n/, resolvers.map((server) => `nameserver ${server}\n`).join(''));
};
