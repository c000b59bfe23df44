/** What a machine may read: its metadata, and below `sdc:` what its host says of it. */
import type { Network } from '../../host/network/network.ts';
import { familyOf, widthOf } from '../../model/address.ts';
import { macOf } from '../../model/mac.ts';
import { addressesOf, nicsOf } from '../../model/nics.ts';
import type { Nic } from '../../model/network.ts';
import type { MachineSpec } from '../../model/machine.ts';
import { hostNamespace, isInternal } from '../../model/metadata.ts';
import { publicId } from '../../model/public-id.ts';
import type { Answer } from './frame.ts';

export interface Place {
  datacenter: string;
  network: Pick<Network, 'gateway' | 'resolvConf' | 'gatewayOf'>;
}

type Facts = Readonly<Record<string, (spec: MachineSpec, place: Place) => string>>;

const facts: Facts = {
  uuid: ({ id }) => id,
  zonename: ({ id }) => id,
  alias: ({ name }) => name,
  hostname: ({ name }) => name,
  dns_domain: () => 'local',
  owner_uuid: ({ account }) => publicId('account', account),
  server_uuid: (_spec, { datacenter }) => publicId('host', datacenter),
  datacenter_name: (_spec, { datacenter }) => datacenter,
  image_uuid: ({ image }) => image.id,
  tags: ({ tags }) => JSON.stringify(tags),
  max_physical_memory: ({ resources }) => String(resources.memoryCeilingMib ?? resources.memoryMib),
  quota: ({ resources }) => String(Math.ceil(resources.diskMib / 1024)),
  max_lwps: ({ resources }) => String(resources.processes),
  nics: (spec, { network }) => JSON.stringify(nicsOf(spec).map((nic) => nicFacts(nic, network.gatewayOf(nic.network)))),
  resolvers: ({ nics }, { network }) => JSON.stringify(resolvers(network.resolvConf([], nics))),
  routes: () => '[]',
  volumes: () => '[]',
};

const singleMasks = { 4: '255.255.255.255', 6: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' } as const;

const nicFacts = ({ address, more, index, primary }: Nic, gateway: string | null) => ({
  interface: `eth${index}`,
  mac: macOf(address),
  ip: address,
  ips: addressesOf({ address, more }).map((one) => `${one}/${widthOf(familyOf(one))}`),
  netmask: singleMasks[familyOf(address)],
  ...(gateway === null ? {} : { gateway, gateways: [gateway] }),
  primary,
});

const resolvers = (conf: string): string[] => [...conf.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address]) => address!);

export const readKey = (spec: MachineSpec, place: Place, key: string): Answer => {
  const { metadata = {} } = spec;
  if (Object.hasOwn(metadata, key)) return { kind: 'success', data: metadata[key]! };
  const name = key.startsWith(hostNamespace) ? key.slice(hostNamespace.length) : '';
  return Object.hasOwn(facts, name) ? { kind: 'success', data: facts[name]!(spec, place) } : { kind: 'not found' };
};

/** Names of its metadata, one a line; not what the host says, nor passwords. */
export const listKeys = ({ metadata = {} }: MachineSpec): Answer => ({
  kind: 'success',
  data: Object.keys(metadata)
    .filter((name) => !isInternal(name) && !name.startsWith(hostNamespace))
    .join('\n'),
});
