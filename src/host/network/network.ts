/**
 * The network of a host's machines: every NIC is one veth pair, routed (no bridge, so no limit of ports and no shared Ethernet), with its
 * address as a single one and the gateway as an on-link neighbour. The external network's router is the host itself; each fabric network has one of
 * its own, a network namespace, so that what accounts do with addresses is theirs alone. Links on the external network are made ahead of
 * time for slots (a slot is one prepared sandbox, see host/sandbox), others when a machine starts.
 */
import type { DroppedPackets, PublishedPort } from '../../model/machine.ts';
import type { NetworkDefinition, Nic, WireStatus, WiredSubnet } from '../../model/network.ts';
import type { UplinkStatus } from '../../model/uplink.ts';
import type { NetworkUsage } from '../../model/network-usage.ts';
import type { Firewall } from './firewall/open.ts';

export interface Connection {
  slot: number;
  machine: string;
  /** Of the primary NIC. */
  address: string;
  /** Absent: one, on the external network. */
  nics?: readonly Nic[] | undefined;
  /** At the primary NIC. */
  publish: PublishedPort[];
  /** Of what it sends out of the host; absent: none. */
  guaranteeMbps?: number | undefined;
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
  /** Absent: none. */
  dropped?: DroppedPackets;
}

export interface Network {
  readonly subnet: string;
  readonly gateway: string;
  readonly firewall: Firewall;
  /** What a fabric network is; before the first machine on it, and again when it changes. In force when it resolves. */
  define(definition: NetworkDefinition): Promise<void>;
  /** Whether it was defined. */
  knows(network: string): boolean;
  /** Makes the slot's veth pair, its inner end `eth0` inside the network namespace. `netnsFd` is an open descriptor. Off the request path. */
  prepare(slot: number, netnsFd: number): Promise<void>;
  /** Gives a slot its addresses, routes, anti-spoofing entries and published ports. From here on packets flow, each way at most as many as the ceiling lets through each NIC. */
  connect(connection: Connection, netnsFd: number, ceilingMbps?: number | null): Promise<void>;
  /** Replaces the published ports of a connected machine, atomically. */
  publish(connection: Connection): Promise<void>;
  /** Makes a connected machine's NICs what the connection says, while it runs; its published ports follow the primary one. */
  setNics(connection: Connection, pid: number, ceilingMbps: number | null): Promise<void>;
  /** The ceiling each way in Mbit/s, null for none, of a connected machine whose first process this is. The same again is harmless. */
  limit(slot: number, pid: number, ceilingMbps: number | null): Promise<void>;
  /** Mbit/s of what a connected machine sends out of the host. The same again is harmless. */
  guarantee(slot: number, guaranteeMbps: number): Promise<void>;
  /** Devices on which guarantees hold, or should; none where nobody said what they carry. */
  uplinks(): UplinkStatus[];
  /** Wires on which public networks have addresses in use here. */
  wires(): WireStatus[];
  /** The address, which no network here gives to machines, is this machine's from now on, or nobody's: in one move, while it is reached. `wired`: its subnet is on a wire. */
  float(address: string, machine: string | null, wired?: WiredSubnet): Promise<void>;
  /** No packet flows from here on; the addresses may be given to another. The links themselves are removed later, in a batch. */
  disconnect(slot: number): Promise<void>;
  /** Counters of a connected slot's links, as the machine sees them. */
  traffic(slot: number): Promise<NetworkTraffic>;
  /** Of the network whole, as far as it is on this host. */
  usage(network: string): Promise<NetworkUsage>;
  /** After an agent restart: exactly these connections and these prepared slots are real; anything else of this instance goes. No packet of a kept one is lost. */
  restore(connections: KeptConnection[], prepared: number[]): Promise<void>;
  /** Refuses, before anything is changed, what cannot be published of a machine with these NICs: taken by another program or instance. */
  checkPublish(publish: PublishedPort[], nics: readonly Nic[]): Promise<void>;
  /** Refuses ports at which nobody outside would reach a machine with these NICs. */
  demandReached(publish: readonly PublishedPort[], nics: readonly Nic[]): void;
  /** Null: it has none, or is not known here. */
  gatewayOf(network: string): string | null;
  /** Content for the /etc/resolv.conf of a machine with these NICs: short names are completed with `search` first, then with what the host completes its own with. */
  resolvConf(search: readonly string[], nics?: readonly Nic[]): string;
  /** Machines' questions to the gateway's port 53 go to this port of it; 53 until something else is said. */
  resolverAt(port: number): void;
  /** With `remove`, takes everything of this instance from the host. */
  close(options: { remove: boolean }): Promise<void>;
}

/** Whether a machine's first link is the one that sandboxes have ready. */
export const hasPreparedLink = (nics: readonly Nic[], external: string): boolean => nics.some(({ network, index }) => network === external && index === 0);
