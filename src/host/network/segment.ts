/** One network on this host: its router's links, table, flows and firewall, all in one namespace, by sockets that were opened there. */
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Subnet } from '../../model/subnet.ts';
import { Nftables, NftablesIn } from '../../sys/nftables.ts';
import type { NftRunner } from '../../sys/nftables.ts';
import { NftablesError } from '../../sys/nftables-error.ts';
import { Connections } from './connections.ts';
import { Crowding } from './crowding.ts';
import { Drops } from './drops.ts';
import { firewallTable } from './firewall/render.ts';
import { openFirewall } from './firewall/open.ts';
import type { HostFirewall } from './firewall/open.ts';
import type { FlowCache } from './flow-cache/flow-cache.ts';
import { forgetting } from './flow-cache/forgetting.ts';
import { ConntrackFlows } from './flows.ts';
import { Links } from './links.ts';
import { linkPrefix, tableName } from './ruleset.ts';
import type { Uplinks } from './uplinks.ts';
import type { Wires } from './wires.ts';

export interface SegmentOptions {
  /** Names its tables. */
  instance: string;
  instanceNumber: number;
  /** Of links' names; absent: the usual. */
  prefix?: string | undefined;
  subnet: Subnet;
  /** Of the router; absent: this host is the router. */
  netnsFd?: number | undefined;
  mtu?: number | undefined;
  isPart?: boolean | undefined;
  isGatewayOutside?: boolean | undefined;
  /** Where questions to its gateway go, when that is on another network. */
  resolver?: string | undefined;
  /** What its machines may have of the kernel's table of flows, before those with the most are held. */
  partOfFlows?: number | undefined;
  lookAtFlowsMs?: number | undefined;
  /** By which machines on it leave the host. */
  uplinks?: Uplinks | undefined;
  /** On which addresses that it leads to may be outside. */
  wires?: Wires | undefined;
  /** Of what machines on it send each other; absent: none. */
  cache?: FlowCache | undefined;
  logger: Logger;
}

export interface Segment extends AsyncDisposable {
  readonly instance: string;
  readonly subnet: Subnet;
  readonly connections: Connections;
  readonly links: Links;
  readonly nftables: NftRunner;
  readonly drops: Drops;
  readonly firewall: HostFirewall;
  /** Puts the router's rules in place of the former ones; what machines have in its sets stays. */
  loadRules(ruleset: string): void;
}

/** The host, and networks of the other family, have the rest of the same table. */
const usualPartOfFlows = 0.5;

/** Of links' programs: unlike any other network's in the same namespace, which may be other instances', and the same after a restart. */
const blockOf = (instanceNumber: number, prefix: string): number => 0x6364_0000 + 4 * instanceNumber + (prefix === linkPrefix(instanceNumber) ? 0 : 2);

export const openSegment = async (options: SegmentOptions): Promise<Segment> => {
  const { instance, instanceNumber, subnet, netnsFd, resolver, uplinks, wires, cache, logger } = options;
  const prefix = options.prefix ?? linkPrefix(instanceNumber);
  await using undo = new AsyncDisposableStack();
  const nftables = forgetting(netnsFd === undefined ? undo.use(openNftables()) : new NftablesIn(netnsFd), cache);
  const programs = cache === undefined ? undefined : undo.use(cache.programs(subnet.family, blockOf(instanceNumber, prefix)));
  const links = undo.adopt(new Links({ ...options, prefix, programs }), (opened) => opened.close());
  const flows = undo.adopt(new ConntrackFlows(logger, subnet.family, netnsFd, () => cache?.forget()), (opened) => opened.close());
  await links.openGateway();
  const drops = new Drops({ table: tableName(instance), firewall: firewallTable(instance), nftables, netnsFd });
  const connections = new Connections({ instance, prefix, subnet, links, nftables, flows, drops, uplinks, wires, logger });
  undo.adopt(
    new Crowding({
      flows,
      machines: () => connections.machines(),
      hold: (machines) => connections.hold(machines),
      part: options.partOfFlows ?? usualPartOfFlows,
      lookMs: options.lookAtFlowsMs,
      logger: logger.child({ network: subnet.cidr }),
    }),
    (opened) => opened.close(),
  );
  const firewall = openFirewall({ instance, subnet, resolver, nftables, flows, logger });
  const held = undo.move();
  return {
    instance,
    subnet,
    connections,
    links,
    nftables,
    drops,
    firewall,
    loadRules: (ruleset) => load(nftables, instance, ruleset, logger),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
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
const load = (nftables: NftRunner, instance: string, ruleset: string, logger: Logger): void => {
  try {
    nftables.run(ruleset);
  } catch (error) {
    if (!(error instanceof NftablesError) || error.kind === 'missing') throw error;
    logger.warn({ err: error, details: error.details }, 'the loaded rules cannot be changed in place; they are replaced');
    nftables.run(`add table inet ${tableName(instance)}\ndelete table inet ${tableName(instance)}\n${ruleset}`);
  }
};
