/**
 * The first form of networking: every machine has one veth pair, routed (no bridge, so no limit of ports and no shared
 * Ethernet), with its address as a /32 and the gateway as an on-link neighbour. Links are made ahead of time for slots (a slot
 * is one prepared sandbox, see host/sandbox); a machine is then connected in one netlink batch and one nftables transaction.
 */
import type { PublishedPort } from '../../model/machine.ts';
import type { Firewall } from './firewall/open.ts';

export interface Connection {
  slot: number;
  machine: string;
  address: string;
  publish: PublishedPort[];
}

/** One that runs while the agent comes back. */
export interface KeptConnection extends Connection {
  /** Its first process. */
  pid: number;
  ceilingMbps: number | null;
}

export interface NetworkTraffic {
  receivedBytes: number;
  sentBytes: number;
}

export interface Network {
  readonly subnet: string;
  readonly gateway: string;
  readonly firewall: Firewall;
  /** Makes the slot's veth pair, its inner end `eth0` inside the network namespace. `netnsFd` is an open descriptor. Off the request path. */
  prepare(slot: number, netnsFd: number): Promise<void>;
  /** Gives a prepared slot its address, routes, anti-spoofing entry and published ports. From here on packets flow, each way at most as many as the ceiling lets through. */
  connect(connection: Connection, netnsFd: number, ceilingMbps?: number | null): Promise<void>;
  /** Replaces the published ports of a connected machine, atomically. */
  publish(connection: Connection): Promise<void>;
  /** The ceiling each way in Mbit/s, null for none, of a connected machine whose first process this is. The same again is harmless. */
  limit(slot: number, pid: number, ceilingMbps: number | null): Promise<void>;
  /** No packet flows from here on; the address may be given to another. The link itself is removed later, in a batch. */
  disconnect(slot: number): Promise<void>;
  /** Counters of a connected slot's link, as the machine sees them. */
  traffic(slot: number): Promise<NetworkTraffic>;
  /** After an agent restart: exactly these connections and these prepared slots are real; anything else of this instance goes. No packet of a kept one is lost. */
  restore(connections: KeptConnection[], prepared: number[]): Promise<void>;
  /** Refuses, before anything is changed, what cannot be published: taken by another program or instance. */
  checkPublish(publish: PublishedPort[]): Promise<void>;
  /** Content for a machine's /etc/resolv.conf: short names are completed with `search` first, then with what the host completes its own with. */
  resolvConf(search: readonly string[]): string;
  /** Machines' questions to the gateway's port 53 go to this port of it; 53 until something else is said. */
  resolverAt(port: number): void;
  /** With `remove`, takes everything of this instance from the host. */
  close(options: { remove: boolean }): Promise<void>;
}
