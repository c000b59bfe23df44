/**
 * Which names a machine has, and what they have: from its own name, its account, its addresses and its tags, with no registration.
 *
 *   NAME.inst.ACCOUNT.ZONE        the machine, whatever its state         A, AAAA, TXT (its id)
 *   NETWORK.NAME.inst.ACCOUNT.ZONE  the same on one network of the account's own
 *   SERVICE.svc.ACCOUNT.ZONE      machines that are in the service and run  A, AAAA, TXT (their ids), SRV (where it has ports)
 *   _acme-challenge. before each  TXT, from metadata
 *
 * NAME is its id or what it is called, ACCOUNT the account's id or what it is called: all four combinations.
 */
import { isIPv6 } from 'node:net';
import type { Metadata, Tags } from '../model/machine.ts';
import type { Nic } from '../model/network.ts';
import { externalNetwork, nicsOf, placesOfNics } from '../model/nics.ts';
import { isName, labelOf } from './name.ts';
import { reachOf } from './reach.ts';
import type { Reach } from './reach.ts';
import { addressData } from './record.ts';
import type { Record, RecordData } from './record.ts';
import { reverseName } from './reverse.ts';
import { parseServices } from './services-tag.ts';
import type { Service } from './services-tag.ts';

export const tagNames = { services: 'triton.cns.services', disable: 'triton.cns.disable', reversePtr: 'triton.cns.reverse_ptr' } as const;
export const metadataNames = { status: 'triton.cns.status', acmeChallenge: 'triton.cns.acme_challenge' } as const;

/** In seconds. A service is left at once, so its answers are not kept for long. */
const ttls = { instance: 30, service: 10, reverse: 60 } as const;
/** What one string of a TXT record holds, of characters that every tool shows as they are. */
const challengePattern = /^[\x20-\x7e]{1,255}$/;

export interface NamedAccount {
  /** As machines name it. */
  id: string;
  uuid: string;
  /** What it is called, as a label; null: another account is called so too, or it cannot stand in a name. */
  label: string | null;
}

export interface NamedAddress {
  address: string;
  /** Label of a network that is the account's own; null: an operator's, which everybody may be told of. */
  network: string | null;
  /** The network's id; absent: an agent of before tells. */
  on?: string | undefined;
  /** Whether machines on other networks reach it; absent as before: not on the account's own. */
  isOpen?: boolean | undefined;
}

/** All of a machine that its names depend on. */
export interface NamedMachine {
  id: string;
  account: string;
  name: string;
  addresses: NamedAddress[];
  /** Empty while it is not to be found as a member of services. */
  services: Service[];
  /** What its addresses are called; null: as the machine is. */
  reversePtr: string | null;
  acmeChallenge: string | null;
}

/** `own`: what the account itself is told; `shared`: what everybody is, which is nothing of networks that are the account's own. */
export type View = 'own' | 'shared';

export interface SharedNetworks {
  has(network: string): boolean;
}
const none: SharedNetworks = new Set<string>();

export const isEverybodys = ({ network }: Pick<Nic, 'network'>, shared: SharedNetworks): boolean => network === externalNetwork || shared.has(network);

const noNetwork = 'floating';

export interface MachineFacts {
  id: string;
  account: string;
  name: string;
  address: string;
  nics?: readonly Nic[] | undefined;
  /** Floating addresses that lead to it. */
  floating?: readonly string[] | undefined;
  tags: Tags;
  metadata?: Metadata | undefined;
}

/**
 * Null: it has no names. `shared`: networks whose names everybody may be told, beside the external one; `open`: those of them whose machines
 * everybody reaches.
 */
export const namedMachine = (
  { id, account, name, address, nics, floating = [], tags, metadata = {} }: MachineFacts,
  running: boolean,
  shared: SharedNetworks = none,
  open: SharedNetworks = none,
): NamedMachine | null => {
  const disable = tags[tagNames.disable];
  if (disable !== undefined && disable !== false && disable !== 'false') return null;
  const inService = running && metadata[metadataNames.status] !== 'down';
  const reversePtr = String(tags[tagNames.reversePtr] ?? '').toLowerCase();
  const challenge = metadata[metadataNames.acmeChallenge] ?? '';
  return {
    id,
    account,
    name,
    // A fabric network is called by its id: what its account calls it is not known here.
    addresses: [
      ...placesOfNics(nicsOf({ nics, address })).map((place) => ({
        address: place.address,
        network: isEverybodys(place, shared) ? null : place.network,
        on: place.network,
        isOpen: isEverybodys(place, open),
      })),
      // On no network that anybody asks by, and reached from all of them.
      ...floating.map((one) => ({ address: one, network: null, on: noNetwork, isOpen: true })),
    ],
    services: inService ? servicesOf(tags) : [],
    reversePtr: isName(reversePtr) ? reversePtr : null,
    acmeChallenge: challengePattern.test(challenge) ? challenge : null,
  };
};

/** A tag from before it was checked may be wrong. */
const servicesOf = (tags: Tags): Service[] => {
  const text = tags[tagNames.services];
  if (text === undefined) return [];
  try {
    return parseServices('tags', String(text));
  } catch {
    return [];
  }
};

export const instanceSuffixes = (account: NamedAccount, zone: string): string[] => accountLabels(account).map((label) => `inst.${label}.${zone}`);
export const serviceSuffixes = (account: NamedAccount, zone: string): string[] => accountLabels(account).map((label) => `svc.${label}.${zone}`);

/** The first is what an account is called by, where it has a name. */
const accountLabels = ({ uuid, label }: NamedAccount): string[] => (label === null ? [uuid] : [label, uuid]);

/** What the machine is called by, where one name must do. */
const primaryName = (machine: NamedMachine, account: NamedAccount, zone: string): string =>
  `${labelOf(machine.name) ?? machine.id}.${instanceSuffixes(account, zone)[0]!}`;

const networkOf = ({ on, network }: NamedAddress): string => on ?? network ?? externalNetwork;

/** An account's machines are told what they reach; what everybody may know does not depend on who asks. */
const reachesOf = (addresses: readonly NamedAddress[], view: View) => {
  /** Other networks on which the machine has an address of that family. */
  const besides = (own: NamedAddress): string[] => [
    ...new Set(addresses.filter((one) => networkOf(one) !== networkOf(own) && isIPv6(one.address) === isIPv6(own.address)).map(networkOf)),
  ];
  const isOpen = ({ isOpen: open, network }: NamedAddress): boolean => open ?? network === null;
  const made = (some: readonly NamedAddress[], instead: readonly string[]): Reach | undefined =>
    view === 'own' ? reachOf([...new Set(some.map(networkOf))], some.some(isOpen), instead) : undefined;
  return {
    /** The machine's address, for who asks for the machine. */
    best: addresses.map((address) => made([address], besides(address))),
    each: addresses.map((address) => made([address], [])),
    any: made(addresses, []),
  };
};

/** Of names that are short enough to be ones. */
export const machineRecords = (machine: NamedMachine, account: NamedAccount, zone: string, view: View): Record[] => {
  const addresses = machine.addresses.filter(({ network }) => view === 'own' || network === null);
  if (addresses.length === 0) return [];
  const records: Record[] = [];
  const say = (name: string, ttl: number, data: RecordData, reach?: Reach) => void (isName(name) && records.push({ name, ttl, data, reach }));
  const reaches = reachesOf(addresses, view);
  const sayAll = (name: string, ttl: number, extra: readonly RecordData[]) => {
    const networks = new Set(addresses.flatMap(({ network }) => (network === null ? [] : [network])));
    for (const prefix of [null, ...networks]) {
      const full = prefix === null ? name : `${prefix}.${name}`;
      // Whoever names the network knows why.
      for (const [index, { address, network }] of addresses.entries())
        if (prefix === null || prefix === network) say(full, ttl, addressData(address), prefix === null ? reaches.best[index] : undefined);
      say(full, ttl, { type: 'TXT', text: machine.id });
      for (const data of extra) say(full, ttl, data, prefix === null ? reaches.any : undefined);
      if (machine.acmeChallenge !== null) say(`_acme-challenge.${full}`, ttl, { type: 'TXT', text: machine.acmeChallenge });
    }
  };
  const own = labelOf(machine.name);
  for (const suffix of instanceSuffixes(account, zone))
    for (const label of own === null ? [machine.id] : [own, machine.id]) sayAll(`${label}.${suffix}`, ttls.instance, []);
  const target = primaryName(machine, account, zone);
  for (const { label, ports } of machine.services)
    for (const suffix of serviceSuffixes(account, zone))
      sayAll(
        `${label}.${suffix}`,
        ttls.service,
        ports.map((one) => ({ type: 'SRV', ...one, target })),
      );
  for (const [index, { address }] of addresses.entries())
    say(reverseName(address), ttls.reverse, { type: 'PTR', target: machine.reversePtr ?? target }, reaches.each[index]);
  return records;
};

/** Names that lead to the machine, as its account is told. */
export const namesOfMachine = (machine: NamedMachine, account: NamedAccount, zone: string): string[] => [
  ...new Set(machineRecords(machine, account, zone, 'own').flatMap(({ name, data }) => (data.type === 'A' || data.type === 'AAAA' ? [name] : []))),
];

/** Who bears a name that two accounts would have as a label: the older. */
export const namedAccounts = (accounts: readonly { id: string; uuid: string; name: string; createdAt: string }[]): NamedAccount[] => {
  const taken = new Set<string>();
  return accounts
    .toSorted((one, other) => (one.createdAt === other.createdAt ? (one.id < other.id ? -1 : 1) : one.createdAt < other.createdAt ? -1 : 1))
    .map(({ id, uuid, name }) => {
      const label = labelOf(name);
      const free = label !== null && !taken.has(label);
      if (free) taken.add(label);
      return { id, uuid, label: free ? label : null };
    });
};
