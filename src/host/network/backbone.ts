/**
 * IPv6 on the host: the *backbone*, a segment beside the external network's, on which the routers of IPv6 networks have their way to the host, its
 * resolver, and outside. A host has it from the first such network on; nobody else pays for it.
 */
import { CenoteError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { backboneOf } from '../../model/backbone.ts';
import type { Subnet } from '../../model/subnet.ts';
import { NetlinkSocket, demand, netlinkProtocols } from '../../sys/netlink.ts';
import { Nftables } from '../../sys/nftables.ts';
import { backboneName, backbonePrefix, backboneRuleset } from './backbone-ruleset.ts';
import type { FlowCache } from './flow-cache/flow-cache.ts';
import { Links } from './links.ts';
import * as message from './route-messages.ts';
import { forwards6 } from './forwarding.ts';
import { tableName } from './ruleset.ts';
import { openSegment } from './segment.ts';
import type { Segment } from './segment.ts';
import type { Uplinks } from './uplinks.ts';

export interface BackboneOptions {
  instance: string;
  instanceNumber: number;
  /** Where guarantees hold, and by which devices; absent: nowhere. */
  uplinks?: Uplinks | undefined;
  cache?: FlowCache | undefined;
  logger: Logger;
}

export class Backbone {
  readonly subnet: Subnet;
  readonly #options: BackboneOptions;
  #open: Promise<Segment> | undefined;
  #resolverPort = 53;
  /** What the loaded rules were made of. */
  #loaded: { resolverPort: number; isForwarded: boolean } | undefined;

  constructor(options: BackboneOptions) {
    this.#options = options;
    this.subnet = backboneOf(options.instanceNumber);
  }

  /** Where the resolver answers, there before any network is, so that it need not look for it. False: this host has no IPv6. */
  async openGateway(): Promise<boolean> {
    using socket = new NetlinkSocket(netlinkProtocols.route);
    const [outcome] = await socket.send([message.addAddress(message.loopbackIndex, this.subnet.gateway, 'host')]);
    if (outcome!.errno === 0) return true;
    this.#options.logger.info({ code: outcome!.code }, 'the host has no IPv6: networks of it cannot have machines here');
    return false;
  }

  /** `isKept`: machines run on networks that have their way by it, and what is there is left as it is until it is restored. */
  async segment(isKept = false): Promise<Segment> {
    this.#open ??= this.#make(isKept).catch((error: unknown) => {
      this.#open = undefined;
      throw error;
    });
    const segment = await this.#open;
    this.#keepRules(segment);
    return segment;
  }

  /** Where that fails it is tried again with the next machine, and when it is said again. */
  resolverAt(port: number): void {
    this.#resolverPort = port;
    const failed = (error: unknown) => this.#options.logger.error({ err: error, port }, 'machines on networks of IPv6 are not led to the resolver');
    // Whoever has it opened hears of it when it cannot be.
    this.#open
      ?.then(
        (segment) => this.#keepRules(segment),
        () => {},
      )
      .catch(failed);
  }

  async close({ remove }: { remove: boolean }): Promise<void> {
    await (await this.#open)?.[Symbol.asyncDispose]();
    this.#open = undefined;
    if (!remove) return;
    // Whatever an agent before has left, opened here or not. Links go with their routers, but later.
    await this.#removeLinks();
    using nftables = new Nftables();
    const { instance } = this.#options;
    const table = tableName(backboneName(instance));
    nftables.run(`add table inet ${table}\ndelete table inet ${table}\n`);
    using socket = new NetlinkSocket(netlinkProtocols.route);
    const requests = [message.deleteUnreachable(this.subnet), message.deleteAddress(message.loopbackIndex, this.subnet.gateway)];
    demand('remove the IPv6 backbone', await socket.send(requests), 'ESRCH', 'EADDRNOTAVAIL', 'ENETDOWN', 'EAFNOSUPPORT', 'EOPNOTSUPP', 'ENODEV');
  }

  async #removeLinks(): Promise<void> {
    const { instanceNumber, logger } = this.#options;
    const links = new Links({ instanceNumber, prefix: backbonePrefix(instanceNumber), subnet: this.subnet, logger });
    for (const slot of (await links.list()).keys()) await links.discard(slot);
    await links.close();
  }

  async #make(isKept: boolean): Promise<Segment> {
    if (!(await this.openGateway()))
      throw new CenoteError('unavailable', 'this host has no IPv6: the kernel was started without, or it is turned off (net.ipv6.conf.all.disable_ipv6)');
    const { instance, instanceNumber, uplinks, cache, logger } = this.#options;
    const segment = await openSegment({
      instance: backboneName(instance),
      instanceNumber,
      prefix: backbonePrefix(instanceNumber),
      subnet: this.subnet,
      // In the host's table, beside the external network.
      partOfFlows: 0.25,
      uplinks,
      cache,
      logger,
    });
    this.#loaded = undefined;
    this.#keepRules(segment);
    if (!isKept) await segment.connections.restore([], []);
    return segment;
  }

  #keepRules(segment: Segment): void {
    const { instance, instanceNumber, uplinks } = this.#options;
    const wanted = { resolverPort: this.#resolverPort, isForwarded: forwards6() };
    if (this.#loaded?.resolverPort === wanted.resolverPort && this.#loaded.isForwarded === wanted.isForwarded) return;
    segment.loadRules(
      backboneRuleset({
        instance: backboneName(instance),
        prefix: backbonePrefix(instanceNumber),
        subnet: this.subnet,
        uplinks: uplinks?.devices ?? [],
        ...wanted,
      }),
    );
    this.#loaded = wanted;
  }
}
