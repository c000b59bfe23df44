/** What follows from a machine's NICs. Without schemas: the command line has it too. */
import { invalid } from '../base/errors.ts';
import type { Nic } from './network.ts';
import { publicId } from './public-id.ts';

/** The same on every control plane, so that hosts and stores agree on it unasked. */
export const externalNetwork = publicId('network', 'default');

/** A machine that says nothing of NICs has one, on the external network. */
export const nicsOf = ({ nics, address }: { nics?: readonly Nic[] | undefined; address: string }): readonly Nic[] =>
  nics ?? [{ network: externalNetwork, address, index: 0, primary: true }];

/** Those that any of the machines is on. */
export const networksOf = (machines: Iterable<Parameters<typeof nicsOf>[0]>): Set<string> =>
  new Set(Array.from(machines, (machine) => nicsOf(machine).map(({ network }) => network)).flat());

/** The one it is known by first. */
export const addressesOf = ({ address, more = [] }: { address: string; more?: readonly string[] | undefined }): string[] => [address, ...more];

/** Each with its network. */
export const placesOfNics = (nics: readonly Nic[]): Pick<Nic, 'network' | 'address'>[] =>
  nics.flatMap((nic) => addressesOf(nic).map((address) => ({ network: nic.network, address })));

/** With other further addresses on one of them. */
export const withMore = (nics: readonly Nic[], network: string, change: (more: readonly string[]) => readonly string[]): Nic[] =>
  nics.map((nic) => {
    if (nic.network !== network) return nic;
    const { more = [], ...rest } = nic;
    const now = change(more);
    return now.length === 0 ? rest : { ...rest, more: [...now] };
  });

/** With a further one; a new primary takes that from the former. */
export const withNic = (nics: readonly Nic[], added: Nic): Nic[] => [
  ...nics.filter(({ network }) => network !== added.network).map((nic) => (added.primary ? { ...nic, primary: false } : nic)),
  added,
];

/** The one on this network is primary from then on. */
export const withPrimary = (nics: readonly Nic[], network: string): Nic[] => nics.map((nic) => ({ ...nic, primary: nic.network === network }));

/** Of a specification: one NIC is primary and has its address, and none is there twice. */
export const checkNics = (spec: { nics?: readonly Nic[] | undefined; address: string }): void => {
  const nics = nicsOf(spec);
  const [primary, ...more] = nics.filter((nic) => nic.primary);
  if (primary === undefined || more.length > 0) throw invalid('nics', `${more.length === 0 ? 'none' : more.length + 1} of them are primary; one is`);
  if (primary.address !== spec.address) throw invalid('nics', `the primary one has ${primary.address}, and the machine ${spec.address}`);
  for (const key of ['network', 'index'] as const)
    if (new Set(nics.map((nic) => nic[key])).size < nics.length) throw invalid('nics', `two of them have the same ${key}`);
  for (const nic of nics) if (nic.more?.includes(nic.address) === true) throw invalid('nics', `one has ${nic.address} twice`);
};
