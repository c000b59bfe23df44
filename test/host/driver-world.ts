/** What tests of the network driver in a small world (network-world.ts) have in common: where it keeps its files, networks, and machines on them. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/base/logger.ts';
import { run } from '../../src/exec/run.ts';
import type { Connection, KeptConnection, Network } from '../../src/host/network/network.ts';
import type { NetworkDefinition, Nic } from '../../src/model/network.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import { closeFd } from '../../src/sys/libc.ts';
import { openNamedNamespace } from '../../src/sys/named-netns.ts';
import { NftablesIn } from '../../src/sys/nftables.ts';
import { Place } from './network-world.ts';

export const subnet = '10.80.0.0/16';
export const logger = createLogger({ name: 'test', level: 'fatal' });

/** Files of a driver under a name of its own, gone after `tidy`. */
export const driverFiles = (name: string) => {
  const scratch = mkdtempSync(join(tmpdir(), `cenote-${name}-`));
  const resolvConfPath = join(scratch, 'resolv.conf');
  writeFileSync(resolvConfPath, 'nameserver 127.0.0.1\n');
  const instance = `${name}${process.pid}`;
  const runDirectory = `/run/cenote-${instance}`;
  const tidy = (): void => {
    rmSync(scratch, { recursive: true });
    rmSync(runDirectory, { recursive: true, force: true });
  };
  return { instance, resolvConfPath, routers: `${runDirectory}/networks`, tidy };
};

export const idOf = (number: number): string => `00000000-0000-4000-8000-00000000000${number}`;

/** A fabric network of the account, unless it says otherwise; null: shared. */
export const define = (number: number, account: string | null, more: Partial<NetworkDefinition> = {}): NetworkDefinition => ({
  id: idOf(number),
  account,
  version: 1,
  subnet: '192.168.10.0/24',
  gateway: '192.168.10.1',
  resolvers: [],
  internetNat: true,
  mtu: 1450,
  uplink: `10.80.0.${number + 100}`,
  ...more,
});

export const on = (network: string, address: string, index = 0, primary = true): Nic => ({ network, address, index, primary });

export const connection = (slot: number, machine: string, nics: readonly Nic[], publish: Connection['publish'] = []): Connection => ({
  slot,
  machine,
  address: nics.find(({ primary }) => primary)!.address,
  nics,
  publish,
});

/** What is seen of a question that nobody answers. */
export const unreached = /timeout|EHOSTUNREACH|ENETUNREACH|ECONNREFUSED/;

/** The world's machines, by name. */
export type Settled = Map<string, { place: Place; connection: Connection }>;

/** A machine of the world's, connected. */
export const settleIn = async (world: AsyncDisposableStack, network: Network, machines: Settled, made: Connection): Promise<Place> => {
  const place = world.use(await Place.create('machine'));
  if (made.nics!.some((nic) => nic.network === externalNetwork && nic.index === 0)) await network.prepare(made.slot, place.fd);
  await network.connect(made, place.fd);
  machines.set(made.machine, { place, connection: made });
  return place;
};

/** A driver and its machines: what tests of it have alike. */
export class DriverWorld implements AsyncDisposable {
  /** Whatever else is of this world. */
  readonly stack = new AsyncDisposableStack();
  readonly machines: Settled = new Map();
  readonly #open: () => Promise<Network>;
  #network: Network | undefined;

  constructor(open: () => Promise<Network>) {
    this.#open = open;
  }

  get network(): Network {
    return this.#network!;
  }

  async open(definitions: readonly NetworkDefinition[] = []): Promise<Network> {
    this.#network = await this.#open();
    for (const definition of definitions) await this.#network.define(definition);
    return this.#network;
  }

  /** A new agent finds the machines running. */
  async restart(definitions: readonly NetworkDefinition[] = []): Promise<void> {
    const kept = this.kept();
    await this.network.close({ remove: false });
    await (await this.open(definitions)).restore(kept, []);
  }

  /** As the agent has written them down. */
  kept(): KeptConnection[] {
    return Array.from(this.machines.values(), ({ place, connection: made }) => ({ ...made, pid: place.pid, ceilingMbps: null }));
  }

  async settle(made: Connection): Promise<Place> {
    return settleIn(this.stack, this.network, this.machines, made);
  }

  place(name: string): Place {
    return this.machines.get(name)!.place;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network?.close({ remove: true });
    await this.stack.disposeAsync();
  }
}

/** Packets that the router of a network has counted under these names. */
export const countersOf = async (of: { routers: string; instance: string; network: string }, ...names: string[]): Promise<number[]> => {
  const list = `list counters table inet cenote-${of.instance}\n`;
  const read = (listing: string) => names.map((name) => Number(new RegExp(`counter ${name} \\{\\s+packets (\\d+)`).exec(listing)![1]));
  if (of.network === externalNetwork) return read(await run('nft', list.trim().split(' ')));
  const fd = openNamedNamespace(`${of.routers}/${readdirSync(of.routers).find((name) => name.endsWith(of.network))!}`)!;
  try {
    return read(new NftablesIn(fd).run(list));
  } finally {
    closeFd(fd);
  }
};
