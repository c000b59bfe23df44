/**
 * The routers of fabric networks: of each a network namespace, in which the host ends of its machines' links are, with an address of the
 * external network as its way out. One is made with the first machine on its network, and goes some time after the last. It is held by a
 * mount, whose name says which network it is of and which link leads to it: that is all that an agent needs which comes after.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { CenoteError } from '../../base/errors.ts';
import type { CrashPoints } from '../../base/crash-point.ts';
import type { Logger } from '../../base/logger.ts';
import type { PublishedPort } from '../../model/machine.ts';
import { backboneAddress } from '../../model/backbone.ts';
import { isShared, subnetOf } from '../../model/network.ts';
import type { NetworkDefinition } from '../../model/network.ts';
import { closeFd } from '../../sys/libc.ts';
import { createNamedNamespace, openNamedNamespace, removeNamedNamespace } from '../../sys/named-netns.ts';
import { inNetworkNamespace } from '../../sys/netns.ts';
import type { Backbone } from './backbone.ts';
import type { Attachment, Further, KeptAttachment } from './attachment.ts';
import { further, shownOf, wholeOf } from './beside.ts';
import type { Beside } from './beside.ts';
import { fabricRuleset, uplinkName } from './fabric-ruleset.ts';
import type { FlowCache } from './flow-cache/flow-cache.ts';
import { forwards6, startForwarding } from './forwarding.ts';
import { heldRouters, pathOfRouter } from './held-routers.ts';
import type { FoundLink } from './links.ts';
import { boundPieces } from './pieces.ts';
import { changeWhole, replaceWhole } from './ruleset.ts';
import { openSegment } from './segment.ts';
import type { Segment } from './segment.ts';

export interface RoutersOptions {
  instance: string;
  instanceNumber: number;
  /** Where their namespaces are held. */
  directory: string;
  /** The external network, by which IPv4 ones have their way out. */
  host: Segment;
  /** By which IPv6 ones have. */
  backbone: Backbone;
  /** Of what their machines send each other; absent: none. */
  cache?: FlowCache | undefined;
  logger: Logger;
  crash: CrashPoints;
  /** Of a router that is there now, before any machine is on it. */
  onOpen: (definition: NetworkDefinition, segment: Segment) => Promise<void>;
  onClose: (network: string) => void;
  /** How long one stays after its last machine. */
  lingerMs?: number | undefined;
}

/** Slots of links that lead to routers; machines' are below. */
const firstUplinkSlot = 900_000;
const usualLingerMs = 60_000;

interface Router {
  definition: NetworkDefinition;
  /** On which its uplink is, and its own address there. */
  outer: Segment;
  uplink: string;
  uplinkSlot: number;
  netnsFd: number;
  segment: Segment;
  /** Machines' published ports, by their slots. */
  published: Map<number, PublishedPort[]>;
  /** By their slots. */
  machines: Map<number, Beside>;
  /** Mbit/s of what its machines send out of the host, by their slots. */
  guarantees: Map<number, number>;
  closing: NodeJS.Timeout | undefined;
}

export class Routers {
  readonly #options: RoutersOptions;
  readonly #definitions = new Map<string, NetworkDefinition>();
  readonly #open = new Map<string, Promise<Router>>();
  /** Those that are being taken away; the next of the same network waits. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #slots = new Set<number>();

  constructor(options: RoutersOptions) {
    this.#options = options;
  }

  definition(network: string): NetworkDefinition | undefined {
    return this.#definitions.get(network);
  }

  async define(definition: NetworkDefinition): Promise<void> {
    const former = this.#definitions.get(definition.id);
    if (former !== undefined && former.version >= definition.version) return;
    this.#definitions.set(definition.id, definition);
    const router = await this.#open.get(definition.id);
    if (router === undefined) return;
    router.definition = definition;
    await this.#setRoutes(router);
    this.#loadRules(router);
  }

  /** Segments of networks that machines are on. */
  async segment(network: string): Promise<Segment | undefined> {
    return (await this.#open.get(network))?.segment;
  }

  async attach(network: string, attachment: Attachment, netnsFd: number, ceilingMbps: number | null): Promise<void> {
    const router = await this.#demand(network);
    const { slot, machine, address, further: others } = attachment;
    router.machines.set(slot, { machine, address, further: others });
    clearTimeout(router.closing);
    try {
      await router.segment.connections.attach(attachment, netnsFd, ceilingMbps);
      for (const one of further(router.definition, [attachment])) await router.outer.connections.addFurther(router.uplinkSlot, one);
      if (attachment.guaranteeMbps > 0) await this.#guarantee(router, attachment.slot, attachment.guaranteeMbps);
      if (attachment.publish.length > 0) await this.#publish(router, attachment.slot, attachment.publish);
    } catch (error) {
      await this.detach(network, attachment.slot);
      throw error;
    }
  }

  async publish(network: string, slot: number, publish: PublishedPort[]): Promise<void> {
    const router = await this.#demand(network);
    await router.segment.connections.publish(slot, publish);
    await this.#publish(router, slot, publish);
  }

  /** All that leaves the network has the sum of its machines' guarantees. */
  async guarantee(network: string, slot: number, guaranteeMbps: number): Promise<void> {
    await this.#guarantee(await this.#demand(network), slot, guaranteeMbps);
  }

  async addFurther(network: string, slot: number, added: Further, netnsFd: number): Promise<void> {
    const router = await this.#demand(network);
    await router.segment.connections.addFurther(slot, added, netnsFd);
    const machine = router.machines.get(slot)!;
    try {
      for (const one of shownOf(router.definition, [added])) await router.outer.connections.addFurther(router.uplinkSlot, one);
    } catch (error) {
      await router.segment.connections.removeFurther(slot, added.address, netnsFd);
      throw error;
    }
    router.machines.set(slot, { ...machine, further: [...(machine.further ?? []), added] });
  }

  async removeFurther(network: string, slot: number, address: string, netnsFd: number): Promise<void> {
    const router = await this.#demand(network);
    await router.outer.connections.removeFurther(router.uplinkSlot, address);
    await router.segment.connections.removeFurther(slot, address, netnsFd);
    const machine = router.machines.get(slot)!;
    router.machines.set(slot, { ...machine, further: machine.further?.filter((one) => one.address !== address) });
  }

  /** Which link of the external network leads to machines of this one. */
  async uplinkSlot(network: string): Promise<number> {
    return (await this.#demand(network)).uplinkSlot;
  }

  async moveFloating(network: string, address: string, from: number | null, to: number | null): Promise<void> {
    const { segment, machines } = await this.#demand(network);
    await segment.connections.moveFloating(address, from, to);
    for (const [slot, change] of [
      [from, (floating: readonly string[]) => floating.filter((one) => one !== address)],
      [to, (floating: readonly string[]) => [...floating, address]],
    ] as const) {
      const machine = slot === null ? undefined : machines.get(slot);
      if (machine !== undefined) machines.set(slot!, { ...machine, floating: change(machine.floating ?? []) });
    }
  }

  async detach(network: string, slot: number): Promise<void> {
    const router = await this.#open.get(network);
    if (router === undefined) return;
    if (router.published.has(slot)) await this.#publish(router, slot, []);
    const machine = router.machines.get(slot);
    for (const one of machine === undefined ? [] : further(router.definition, [machine]))
      await router.outer.connections.removeFurther(router.uplinkSlot, one.address);
    if (router.guarantees.has(slot)) await this.#guarantee(router, slot, 0);
    await router.segment.connections.disconnect(slot);
    router.machines.delete(slot);
    if (router.machines.size === 0) router.closing = setTimeout(() => this.#leave(network, router), this.#options.lingerMs ?? usualLingerMs).unref();
  }

  /** Exactly these machines are on fabric networks; any router without one goes. Gives what the external network and the backbone have to keep for those that stay. */
  async restore(kept: ReadonlyMap<string, KeptAttachment[]>): Promise<Map<Segment, KeptAttachment[]>> {
    for (const { path, network, uplinkSlot } of heldRouters(this.#options.directory)) {
      if (kept.has(network) && !this.#slots.has(uplinkSlot)) this.#slots.add(uplinkSlot);
      else if (!kept.has(network)) removeNamedNamespace(path);
    }
    const { host } = this.#options;
    const uplinks = new Map<Segment, KeptAttachment[]>([[host, []]]);
    const wholes = new Map<Segment, string[]>([[host, []]]);
    for (const [network, attachments] of kept) {
      const router = await this.#demand(network, true);
      for (const { slot, machine, address, publish, guaranteeMbps, further: others, floating } of attachments) {
        router.machines.set(slot, { machine, address, further: others, floating });
        if (guaranteeMbps > 0) router.guarantees.set(slot, guaranteeMbps);
        if (publish.length > 0) router.published.set(slot, publish);
      }
      const { outer, definition } = router;
      uplinks.set(outer, [...(uplinks.get(outer) ?? []), { ...this.#uplink(router), pid: null, ceilingMbps: null }]);
      wholes.set(outer, [...(wholes.get(outer) ?? []), ...wholeOf(definition)]);
    }
    for (const [{ nftables, instance }, subnets] of wholes) replaceWhole(nftables, instance, subnets);
    return uplinks;
  }

  /** After the external network has been restored, which their uplinks belong to. */
  async restoreMachines(kept: ReadonlyMap<string, KeptAttachment[]>): Promise<void> {
    const links = new Map<Segment, Map<number, FoundLink>>();
    for (const [network, attachments] of kept) {
      const router = await this.#demand(network);
      const { outer } = router;
      const found = links.get(outer) ?? (await outer.links.list());
      links.set(outer, found);
      if (!found.has(router.uplinkSlot)) await this.#connectUplink(router);
      await router.segment.connections.restore(attachments, []);
      await this.#setRoutes(router);
    }
  }

  async close({ remove }: { remove: boolean }): Promise<void> {
    await Promise.all(this.#leaving.values());
    for (const [network, opening] of this.#open) {
      const router = await opening.catch(() => undefined);
      if (router === undefined) continue;
      clearTimeout(router.closing);
      this.#open.delete(network);
      await router.segment[Symbol.asyncDispose]();
      closeFd(router.netnsFd);
    }
    if (!remove) return;
    for (const { path } of heldRouters(this.#options.directory)) removeNamedNamespace(path);
    rmSync(this.#options.directory, { recursive: true, force: true });
  }

  #demand(network: string, isKept = false): Promise<Router> {
    const there = this.#open.get(network);
    if (there !== undefined) return there;
    const definition = this.#definitions.get(network);
    if (definition === undefined) return Promise.reject(new CenoteError('unavailable', `the host does not know the network ${network}`));
    const opening = this.#make(definition, isKept);
    this.#open.set(network, opening);
    opening.catch(() => this.#open.delete(network));
    return opening;
  }

  /** `isKept`: its machines run, and what is there is left as it is. */
  async #make(definition: NetworkDefinition, isKept: boolean): Promise<Router> {
    const { instance, instanceNumber, directory, host, backbone, cache, logger, crash, onOpen } = this.#options;
    await this.#leaving.get(definition.id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const found = heldRouters(this.#options.directory).find(({ network }) => network === definition.id);
    const uplinkSlot = found?.uplinkSlot ?? this.#freeSlot();
    this.#slots.add(uplinkSlot);
    const path = pathOfRouter(directory, uplinkSlot, definition.id);
    const subnet = subnetOf(definition);
    const isIp6 = subnet.family === 6;
    const outer = isIp6 ? await backbone.segment(isKept) : host;
    const uplink = isIp6 ? backboneAddress(outer.subnet, definition.uplink) : definition.uplink;
    // One that nobody is on may have been left half made.
    if (found !== undefined && !isKept) removeNamedNamespace(path);
    const existing = isKept && found !== undefined ? openNamedNamespace(path) : null;
    const netnsFd = existing ?? createNamedNamespace(path);
    crash.reach('network: namespace of a router made');
    await using undo = new AsyncDisposableStack();
    undo.defer(() => {
      closeFd(netnsFd);
      if (!isKept) removeNamedNamespace(path);
      this.#slots.delete(uplinkSlot);
    });
    inNetworkNamespace(netnsFd, () => startForwarding(subnet.family));
    const { mtu, isPublic: isPart } = definition;
    const isGatewayOutside = definition.device !== undefined;
    const where = { subnet, netnsFd, mtu, isPart, isGatewayOutside, resolver: outer.subnet.gateway };
    // Each has a table of its own, of the host's memory; on a fabric it is its account's own affair who crowds whom.
    const flows = { partOfFlows: 0.25, lookAtFlowsMs: isShared(definition) ? 1000 : 5000 };
    const segment = undo.use(await openSegment({ instance, instanceNumber, ...where, ...flows, cache, logger }));
    const router: Router = {
      definition,
      outer,
      uplink,
      uplinkSlot,
      netnsFd,
      segment,
      published: new Map(),
      machines: new Map(),
      guarantees: new Map(),
      closing: undefined,
    };
    await segment.connections.setRoutes(definition.routes ?? {});
    this.#loadRules(router);
    inNetworkNamespace(netnsFd, () => boundPieces(subnet.family));
    crash.reach('network: rules of a router loaded');
    if (!isKept) {
      await this.#connectUplink(router);
      changeWhole('add', outer.nftables, outer.instance, wholeOf(definition));
    }
    crash.reach('network: router connected');
    await onOpen(definition, segment);
    undo.move();
    return router;
  }

  async #connectUplink(router: Router): Promise<void> {
    const { connections } = router.outer;
    // What a former agent, or a link that somebody took away, has left of it.
    await connections.disconnect(router.uplinkSlot);
    await connections.attach(this.#uplink(router), router.netnsFd);
    await this.#setRoutes(router);
  }

  async #setRoutes({ definition: { routes = {} }, segment, outer }: Router): Promise<void> {
    // Else the way to the resolver would be by whoever carries what its address is in.
    const { subnet } = outer;
    if (Object.keys(routes).length > 0) await segment.links.keepBy(uplinkName, subnet, subnet.gateway);
    await segment.connections.setRoutes(routes);
  }

  /** On the external network a router is like a machine, with all that is published of its machines. */
  #uplink({ definition, uplink, uplinkSlot, published, machines, guarantees }: Router): Attachment {
    const publish = [...published.values()].flat().map(({ protocol, hostPort }) => ({ protocol, hostPort, machinePort: hostPort }));
    return {
      slot: uplinkSlot,
      machine: definition.id,
      address: uplink,
      publish,
      index: 0,
      leads: 'everywhere',
      further: further(definition, machines.values()),
      guaranteeMbps: [...guarantees.values()].reduce((sum, one) => sum + one, 0),
    };
  }

  async #publish(router: Router, slot: number, publish: PublishedPort[]): Promise<void> {
    const former = router.published.get(slot);
    putOrDelete(router.published, slot, publish.length > 0 ? publish : undefined);
    try {
      await router.outer.connections.publish(router.uplinkSlot, this.#uplink(router).publish);
    } catch (error) {
      putOrDelete(router.published, slot, former);
      throw error;
    }
  }

  async #guarantee(router: Router, slot: number, guaranteeMbps: number): Promise<void> {
    const former = router.guarantees.get(slot);
    putOrDelete(router.guarantees, slot, guaranteeMbps > 0 ? guaranteeMbps : undefined);
    try {
      await router.outer.connections.guarantee(router.uplinkSlot, this.#uplink(router).guaranteeMbps);
    } catch (error) {
      putOrDelete(router.guarantees, slot, former);
      throw error;
    }
  }

  #loadRules({ definition, segment, outer, uplink }: Router): void {
    const { instance, instanceNumber } = this.#options;
    const { subnet } = segment;
    const isForwarded = subnet.family === 4 || forwards6();
    segment.loadRules(fabricRuleset({ instance, instanceNumber, subnet, definition, uplink, resolver: outer.subnet.gateway, isForwarded }));
  }

  #leave(network: string, router: Router): void {
    if (router.machines.size > 0) return;
    this.#open.delete(network);
    const leaving = this.#remove(network, router).finally(() => this.#leaving.delete(network));
    this.#leaving.set(network, leaving);
  }

  async #remove(network: string, router: Router): Promise<void> {
    this.#options.onClose(network);
    try {
      const { connections, nftables, instance } = router.outer;
      changeWhole('delete', nftables, instance, wholeOf(router.definition));
      await connections.disconnect(router.uplinkSlot);
      await router.segment[Symbol.asyncDispose]();
      closeFd(router.netnsFd);
      removeNamedNamespace(pathOfRouter(this.#options.directory, router.uplinkSlot, network));
      this.#slots.delete(router.uplinkSlot);
    } catch (error) {
      this.#options.logger.error({ err: error, network }, 'the router of a network that nobody is on could not be removed');
    }
  }

  #freeSlot(): number {
    let slot = firstUplinkSlot;
    while (this.#slots.has(slot)) slot += 1;
    return slot;
  }
}

const putOrDelete = <Key, Value>(map: Map<Key, Value>, key: Key, value: Value | undefined): void => {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
};
