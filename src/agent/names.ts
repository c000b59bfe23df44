/**
 * Tells this host's resolver which names machines have: all there is when the tie is made, then each change as it happens. What the control
 * plane has said of accounts is kept in the journal, so that names are there without it. A resolver that is away is told when it comes.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonLine } from '../base/json-lines.ts';
import type { Logger } from '../base/logger.ts';
import { messageOf } from '../base/errors.ts';
import { instanceSuffixes, isEverybodys, namedMachine, serviceSuffixes } from '../dns/machine-names.ts';
import type { NamedAccount } from '../dns/machine-names.ts';
import type { Told, ToldMachine } from '../dns/told.ts';
import { familyOf } from '../model/address.ts';
import { backboneAddress } from '../model/backbone.ts';
import type { MachineSpec } from '../model/machine.ts';
import type { NetworkDefinition } from '../model/network.ts';
import { nicsOf, placesOfNics } from '../model/nics.ts';
import type { Subnet } from '../model/subnet.ts';
import type { HostNames, NamesTold, ResolverStatus } from '../model/names-api.ts';
import { CommonNetworks } from './common-networks.ts';
import type { Journal } from './journal.ts';

export interface MachineNamesOptions {
  socketPath: string;
  zone: string;
  /** On which routers of IPv6 networks ask. */
  backbone: Subnet;
  journal: Journal;
  logger: Logger;
  /** Told where the resolver takes machines' questions; asked again when it throws. */
  onPort: (port: number) => void;
  /** How long after that. */
  leadAgainMs?: number | undefined;
}

const firstDelayMs = 20;
const longestDelayMs = 1000;
const usualLeadAgainMs = 1000;
/** A resolver that does not read is told all anew when it does. */
const mostUnread = 16 * 1024 * 1024;

export class MachineNames implements AsyncDisposable {
  readonly #options: MachineNamesOptions;
  readonly #stopping = new AbortController();
  readonly #machines = new Map<string, ToldMachine>();
  /** By machine. */
  readonly #floating = new Map<string, readonly string[]>();
  /** Networks whose machines ask under their own addresses. */
  readonly #shared = new Set<string>();
  /** Those of them whose machines everybody reaches. */
  readonly #open = new Set<string>();
  /** Routers of fabric networks, under whose addresses their machines ask. */
  readonly #routers = new Map<string, Pick<ToldMachine, 'account' | 'address'>>();
  readonly #common = new CommonNetworks();
  #accounts: NamedAccount[];
  #socket: Socket | undefined;
  #resolver: ResolverStatus | null = null;
  #following: Promise<void> | undefined;
  #leading: NodeJS.Timeout | undefined;
  /** Why machines are not led to the resolver. */
  #hindrance = '';

  constructor(options: MachineNamesOptions) {
    this.#options = options;
    this.#accounts = options.journal.loadNames()?.accounts ?? [];
  }

  /** When all machines are known. */
  start(): void {
    this.#following = this.#follow();
  }

  /** Floating addresses that lead to the machine from now on; told when it is said again what it is. */
  floats(id: string, addresses: readonly string[]): void {
    if (addresses.length === 0) this.#floating.delete(id);
    else this.#floating.set(id, addresses);
  }

  /** What the machine is, or is about to be: a service is left before its machine stops. */
  changed(spec: MachineSpec, running: boolean): void {
    const { id, account, address } = spec;
    const nics = nicsOf(spec);
    const places = placesOfNics(nics.filter((nic) => isEverybodys(nic, this.#shared)));
    const machine: ToldMachine = {
      id,
      account,
      address,
      asks: places.map((place) => place.address),
      asksBy: places.map(({ network }) => network),
      on: nics.map(({ network }) => network),
      named: namedMachine({ ...spec, floating: this.#floating.get(id) }, running, this.#shared, this.#open),
    };
    if (!this.#set(machine)) return;
    this.#tellRouters(this.#common.set(id, { primary: nics.find(({ primary }) => primary)!.network, on: machine.on! }));
  }

  /** Machines of a fabric network ask under their router's address, for the same account. */
  leads({ id, account, uplink, subnet, isPublic = false }: NetworkDefinition): void {
    if (isPublic) this.#open.add(id);
    if (account === null) return void this.#shared.add(id);
    const address = familyOf(subnet) === 4 ? uplink : backboneAddress(this.#options.backbone, uplink);
    this.#routers.set(id, { account, address });
    this.#tellRouters([id]);
  }

  gone(id: string): void {
    this.#floating.delete(id);
    if (this.#machines.delete(id)) this.#tell({ kind: 'gone', id });
    this.#tellRouters(this.#common.remove(id));
  }

  #tellRouters(networks: readonly string[]): void {
    for (const id of networks) {
      const router = this.#routers.get(id);
      if (router !== undefined) this.#set({ id, ...router, asksBy: [id], on: this.#common.of(id), named: null });
    }
  }

  /** Whether it is news. */
  #set(machine: ToldMachine): boolean {
    if (JSON.stringify(this.#machines.get(machine.id)) === JSON.stringify(machine)) return false;
    this.#machines.set(machine.id, machine);
    this.#tell({ kind: 'machine', machine });
    return true;
  }

  get status(): HostNames {
    return { accounts: this.#accounts, resolver: this.#resolver };
  }

  /** On record when it resolves. */
  async setAccounts(told: NamesTold): Promise<void> {
    // Told at each tie, and mostly what is on record already.
    if (JSON.stringify(told.accounts) !== JSON.stringify(this.#accounts)) await this.#options.journal.saveNames(told);
    this.#accounts = told.accounts;
    this.#tell({ kind: 'accounts', accounts: told.accounts });
  }

  /** What a machine's short names are completed with. */
  searchOf(account: string): string[] {
    const named = this.#accounts.find(({ id }) => id === account);
    if (named === undefined) return [];
    const { zone } = this.#options;
    return [instanceSuffixes(named, zone)[0]!, serviceSuffixes(named, zone)[0]!];
  }

  #tell(told: Told): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    if (socket.writableLength > mostUnread) socket.destroy();
    else socket.write(jsonLine(told));
  }

  async #follow(): Promise<void> {
    const { logger } = this.#options;
    const { signal } = this.#stopping;
    let delay = firstDelayMs;
    let said = '';
    while (!signal.aborted) {
      try {
        await this.#followOnce(() => {
          delay = firstDelayMs;
          said = '';
        });
      } catch (error) {
        if (messageOf(error) !== said) logger.info({ error: messageOf(error) }, 'the resolver is away');
        said = messageOf(error);
      }
      await sleep(delay, undefined, { signal, ref: false }).catch(() => undefined);
      delay = Math.min(delay * 2, longestDelayMs);
    }
  }

  #followOnce(connected: () => void): Promise<void> {
    const { socketPath } = this.#options;
    const { signal } = this.#stopping;
    return new Promise((resolve, reject) => {
      const socket = connect(socketPath, () => {
        connected();
        this.#socket = socket;
        this.#tell({ kind: 'all', accounts: this.#accounts, machines: [...this.#machines.values()] });
      });
      const stop = () => socket.destroy();
      signal.addEventListener('abort', stop);
      socket.on('error', reject);
      socket.on('close', () => {
        signal.removeEventListener('abort', stop);
        this.#socket = undefined;
        this.#resolver = null;
        resolve();
      });
      createInterface({ input: socket })
        .on('line', (line) => this.#hear(line))
        .on('error', reject);
    });
  }

  #hear(line: string): void {
    try {
      const status = JSON.parse(line) as ResolverStatus;
      this.#lead(status.port);
      this.#resolver = status;
    } catch (error) {
      this.#options.logger.warn({ error: messageOf(error) }, 'what the resolver says is not understood');
    }
  }

  /** Until it is done machines ask in vain, and the resolver may have nothing new to say for long. */
  #lead(port: number): void {
    const { logger, onPort, leadAgainMs = usualLeadAgainMs } = this.#options;
    clearTimeout(this.#leading);
    try {
      onPort(port);
      this.#hindrance = '';
    } catch (error) {
      if (messageOf(error) !== this.#hindrance) logger.error({ err: error, port }, 'machines are not led to the resolver; it is tried again');
      this.#hindrance = messageOf(error);
      this.#leading = setTimeout(() => this.#lead(port), leadAgainMs).unref();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#following;
    clearTimeout(this.#leading);
  }
}
