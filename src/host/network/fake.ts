/** A network that moves no packets but refuses what the real one refuses: for tests of what stands above it. */
import { CenoteError, invalid } from '../../base/errors.ts';
import type { FirewallMachine, OwnedRule } from '../../model/firewall/rule.ts';
import type { PublishedPort } from '../../model/machine.ts';
import { externalNetwork, nicsOf } from '../../model/nics.ts';
import type { NetworkDefinition } from '../../model/network.ts';
import { hasPreparedLink } from './network.ts';
import type { Connection, Network, NetworkTraffic } from './network.ts';
import { isMachineAddress, parseSubnet } from '../../model/subnet.ts';

export interface FakeNetworkOptions {
  subnet?: string;
  /** Ports that a program of the host would have. */
  portsInUse?: PublishedPort[];
}

export interface FakeNetwork extends Network {
  /** What its firewall was told last. */
  readonly firewallRules: ReadonlyMap<string, OwnedRule>;
  readonly firewallMachines: ReadonlyMap<string, FirewallMachine>;
  readonly prepared: ReadonlySet<number>;
  readonly connected: ReadonlyMap<number, Connection>;
  /** Machines by floating address. */
  readonly floating: ReadonlyMap<string, string>;
  /** Mbit/s of the connected ones, by slot. */
  readonly ceilings: ReadonlyMap<number, number | null>;
  readonly guarantees: ReadonlyMap<number, number>;
  /** What `traffic` says for a slot. */
  setTraffic(slot: number, traffic: NetworkTraffic): void;
}

export const createFakeNetwork = (options: FakeNetworkOptions = {}): FakeNetwork => {
  const subnet = parseSubnet('subnet', options.subnet ?? '10.99.0.0/16');
  const prepared = new Set<number>();
  const connected = new Map<number, Connection>();
  const floating = new Map<string, string>();
  const ceilings = new Map<number, number | null>();
  const guarantees = new Map<number, number>();
  const definitions = new Map<string, NetworkDefinition>();
  const counters = new Map<number, NetworkTraffic>();
  const firewallRules = new Map<string, OwnedRule>();
  const firewallMachines = new Map<string, FirewallMachine>();
  const keyOf = (port: PublishedPort): string => `${port.protocol} ${port.hostPort}`;

  const check = (connection: Connection): void => {
    for (const { network } of nicsOf(connection))
      if (network !== externalNetwork && !definitions.has(network)) throw new CenoteError('unavailable', `the host does not know the network ${network}`);
    const [onExternal] = nicsOf(connection).filter(({ network }) => network === externalNetwork);
    if (onExternal !== undefined && !isMachineAddress(subnet, onExternal.address))
      throw invalid('address', `"${connection.address}" is not an address for machines in ${subnet.cidr}`);
    const ports = new Set(connection.publish.map(keyOf));
    for (const other of connected.values()) {
      if (other.slot === connection.slot) continue;
      if (other.address === connection.address || other.publish.some((port) => ports.has(keyOf(port)))) {
        throw new CenoteError('in_use', 'the address or a published port is in use by another machine');
      }
    }
  };

  return {
    subnet: subnet.cidr,
    gateway: subnet.gateway,
    prepared,
    connected,
    ceilings,
    guarantees,
    floating,
    firewallRules,
    firewallMachines,
    firewall: {
      restore: async (rules, machines) => {
        firewallRules.clear();
        firewallMachines.clear();
        for (const owned of rules) firewallRules.set(owned.id, owned);
        for (const machine of machines) firewallMachines.set(machine.id, machine);
      },
      changeRules: async (put, remove) => {
        for (const id of remove) firewallRules.delete(id);
        for (const owned of put) firewallRules.set(owned.id, owned);
      },
      setMachine: async (machine) => void firewallMachines.set(machine.id, machine),
      removeMachine: async (id) => void firewallMachines.delete(id),
    },
    setTraffic: (slot, traffic) => void counters.set(slot, traffic),
    prepare: async (slot) => {
      if (connected.has(slot)) throw new CenoteError('wrong_state', `slot ${slot} is connected`);
      prepared.add(slot);
    },
    connect: async (connection, _netnsFd, ceilingMbps = null) => {
      check(connection);
      if (connected.has(connection.slot)) throw new CenoteError('wrong_state', `slot ${connection.slot} is connected already`);
      if (!prepared.delete(connection.slot) && hasPreparedLink(nicsOf(connection), externalNetwork))
        throw new CenoteError('wrong_state', `slot ${connection.slot} has no link: it was not prepared`);
      connected.set(connection.slot, connection);
      ceilings.set(connection.slot, ceilingMbps);
      guarantees.set(connection.slot, connection.guaranteeMbps ?? 0);
    },
    knows: (network) => network === externalNetwork || definitions.has(network),
    define: async (definition) => void definitions.set(definition.id, definition),
    setNics: async (connection) => {
      if (!connected.has(connection.slot)) throw new CenoteError('wrong_state', `slot ${connection.slot} is not connected`);
      check(connection);
      connected.set(connection.slot, connection);
    },
    publish: async (connection) => {
      if (!connected.has(connection.slot)) throw new CenoteError('wrong_state', `slot ${connection.slot} is not connected`);
      check(connection);
      connected.set(connection.slot, connection);
    },
    float: async (address, machine) => void (machine === null ? floating.delete(address) : floating.set(address, machine)),
    limit: async (slot, _pid, ceilingMbps) => {
      if (!connected.has(slot)) throw new CenoteError('wrong_state', `slot ${slot} is not connected`);
      ceilings.set(slot, ceilingMbps);
    },
    guarantee: async (slot, guaranteeMbps) => {
      if (!connected.has(slot)) throw new CenoteError('wrong_state', `slot ${slot} is not connected`);
      guarantees.set(slot, guaranteeMbps);
    },
    uplinks: () => [],
    wires: () => [],
    disconnect: async (slot) => {
      prepared.delete(slot);
      connected.delete(slot);
      counters.delete(slot);
      ceilings.delete(slot);
      guarantees.delete(slot);
    },
    traffic: async (slot) => {
      if (!connected.has(slot) && !prepared.has(slot)) throw new CenoteError('not_found', `slot ${slot} has no link`);
      return counters.get(slot) ?? { receivedBytes: 0, sentBytes: 0 };
    },
    usage: async (network) => ({
      machines: Array.from(connected.values()).filter((one) => nicsOf(one).some((nic) => nic.network === network)).length,
      dropped: {},
    }),
    restore: async (connections, slots) => {
      connected.clear();
      prepared.clear();
      for (const { pid: _, ceilingMbps, ...connection } of connections) {
        connected.set(connection.slot, connection);
        ceilings.set(connection.slot, ceilingMbps);
        guarantees.set(connection.slot, connection.guaranteeMbps ?? 0);
      }
      for (const slot of slots) prepared.add(slot);
    },
    checkPublish: async (publish) => {
      const used = new Set(options.portsInUse?.map(keyOf));
      for (const [index, port] of publish.entries()) {
        if (!used.has(keyOf(port))) continue;
        const message = `${port.protocol} port ${port.hostPort} is in use by a program on this host`;
        throw new CenoteError('in_use', message, { fields: [{ field: `publish[${index}]`, message }] });
      }
    },
    demandReached: () => {},
    gatewayOf: (network) => (network === externalNetwork ? subnet.gateway : (definitions.get(network)?.gateway ?? null)),
    resolvConf: () => `nameserver ${subnet.gateway}\noptions ndots:1\n`,
    resolverAt: () => {},
    close: async ({ remove }) => {
      if (!remove) return;
      connected.clear();
      prepared.clear();
    },
  };
};
