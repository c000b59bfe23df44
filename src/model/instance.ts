/**
 * An instance: one agent, one control plane and their machines under one root directory. Its configuration is `ROOT/config.json`,
 * written by `cenote up` and only read by the agent, the control plane and the command line.
 */
import { Type } from 'typebox';
import type { Static, TSchema } from 'typebox';
import { Check, Errors } from 'typebox/schema';
import { CenoteError, invalid } from '../base/errors.ts';
import { mostUplinks, uplinkPattern } from './uplink-name.ts';

const closed = { additionalProperties: false } as const;

export const defaultRoot = '/var/lib/cenote';
export const instanceNamePattern = '^[a-z0-9]{1,12}$';
/** The agent's, on a file system that a reboot empties. */
export const runDirectoryOf = (instance: string): string => `/run/cenote-${instance}`;

/** User ranges a machine may be given: blocks of 1,024 ranges of 65,536 ids each. */
export const uidRangeSize = 65_536;
export const uidRangesPerBlock = 1024;
export const uidBlockSize = uidRangeSize * uidRangesPerBlock;

/** How many times what there is machines may be guaranteed of it. 1 is a promise; more is a bet that they do not all claim it at once. */
const ratio = Type.Number({ minimum: 1, maximum: 100 });
export const Overcommit = Type.Object({ cpu: ratio, memory: ratio, disk: ratio }, closed);
export type Overcommit = Static<typeof Overcommit>;
export const noOvercommit: Readonly<Overcommit> = { cpu: 1, memory: 1, disk: 1 };

export const CloudApiPlace = Type.Object(
  { address: Type.String({ pattern: '^[0-9a-fA-F:.]{2,45}$' }), port: Type.Integer({ minimum: 1, maximum: 65_535 }) },
  closed,
);
export type CloudApiPlace = Static<typeof CloudApiPlace>;
const firstCloudApiPort = 7080;

export const cloudApiPlace = ({ cloudapi, number }: { cloudapi?: CloudApiPlace; number: number }): CloudApiPlace =>
  cloudapi ?? { address: '127.0.0.1', port: firstCloudApiPort + number };

const DnsPlace = Type.Object({ address: Type.String({ pattern: '^[0-9a-fA-F:.]{2,45}$' }), port: Type.Integer({ minimum: 1, maximum: 65_535 }) }, closed);
export const DnsConfig = Type.Object(
  {
    /** What all machines' names end with; absent: see `dnsZone`. */
    zone: Type.Optional(Type.String({ pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$', maxLength: 64 })),
    /** Where names are served to others; absent: nowhere. */
    listen: Type.Optional(DnsPlace),
    /** Servers that may take whole zones, and are told when there is something new. */
    secondaries: Type.Optional(Type.Array(DnsPlace, { maxItems: 16 })),
  },
  closed,
);
export type DnsConfig = Static<typeof DnsConfig>;
const firstDnsPort = 7153;

export const dnsZone = ({ dns, instance }: { dns?: DnsConfig; instance: string }): string => dns?.zone ?? `${instance}.cenote.internal`;
/** Above those that want a privilege. */
export const defaultDnsPort = (number: number): number => firstDnsPort + number;

const ServiceUser = Type.Object({ name: Type.String(), uid: Type.Integer(), gid: Type.Integer() }, closed);

export const InstanceConfig = Type.Object(
  {
    /** Of this file's format. */
    version: Type.Literal(1),
    /** Names links, tables, cgroups and units of this instance on the host. */
    instance: Type.String({ pattern: instanceNamePattern }),
    number: Type.Integer({ minimum: 0, maximum: 63 }),
    /** The /16 that machines' addresses come from. */
    subnet: Type.String({ pattern: '^\\d{1,3}\\.\\d{1,3}\\.0\\.0/16$' }),
    /** First host id of each block; more may be claimed later (see host/allotment), which then has the whole list. */
    uidBlocks: Type.Array(Type.Integer({ minimum: uidBlockSize }), { minItems: 1 }),
    storage: Type.Object(
      {
        driver: Type.Union([Type.Literal('btrfs'), Type.Literal('directory')]),
        /** A block device of its own; null is a preallocated file in the root directory. */
        device: Type.Union([Type.String({ pattern: '^/dev/[A-Za-z0-9_./-]{1,80}$' }), Type.Null()]),
        poolSizeMib: Type.Integer({ minimum: 256 }),
      },
      closed,
    ),
    /** How often what there is may be promised; absent: once. The operator's explicit choice. */
    overcommit: Type.Optional(Overcommit),
    /** What the host's uplink carries, Mbit/s, for machines' guarantees; absent: nobody has said, and nothing is set aside. */
    networkMbps: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
    /** The devices that lead outside, on which those guarantees are to hold; absent: they are only set aside. */
    uplinks: Type.Optional(Type.Array(Type.String({ pattern: uplinkPattern }), { minItems: 1, maxItems: mostUplinks })),
    /** Where accounts' own clients are served; absent: on the loopback, at a port that follows from the instance's number. */
    cloudapi: Type.Optional(CloudApiPlace),
    /** Names in the DNS; absent: machines have them, and nobody else is told. */
    dns: Type.Optional(DnsConfig),
    /** User and group the control plane runs as. */
    user: ServiceUser,
    /** The same for the resolver; absent in what an earlier `up` wrote. */
    resolverUser: Type.Optional(ServiceUser),
    /** The Node that runs the services, and the directory with `src/` and `node_modules/` that they run from. */
    nodePath: Type.String({ pattern: '^/' }),
    codePath: Type.String({ pattern: '^/' }),
    /** The checkout that `up` was called from. */
    checkoutPath: Type.String({ pattern: '^/' }),
  },
  closed,
);
export type InstanceConfig = Static<typeof InstanceConfig>;

/** What the network driver is to shape, if anything. */
export const shapedUplinks = ({ networkMbps, uplinks }: InstanceConfig): { devices: readonly string[]; capacityMbps: number } | undefined =>
  networkMbps === undefined || uplinks === undefined ? undefined : { devices: uplinks, capacityMbps: networkMbps };

/** Where things are beneath a root directory, for all who must agree on it. */
export interface InstancePaths {
  root: string;
  config: string;
  /** Where the store is, when it is not in `control`; for the control plane's user only. */
  database: string;
  /** Owned by root, writable by nobody else. */
  run: string;
  agentSocket: string;
  /** Belongs to the resolver's user, with the socket over which the agent tells it of machines. */
  resolver: string;
  resolverSocket: string;
  /** What clients connect to: a link, made by `up`, to `controlListen`. */
  controlSocket: string;
  /** What the control plane listens on: in its own directory, so that an unprivileged process needs no right to write in `run`. */
  controlListen: string;
  /** The agent's own state. */
  agent: string;
  agentJournal: string;
  /** The control plane's own state; belongs to its user. */
  control: string;
  log: string;
  lxcfs: string;
}

export const instancePaths = (root: string): InstancePaths => ({
  root,
  config: `${root}/config.json`,
  database: `${root}/database.json`,
  run: `${root}/run`,
  agentSocket: `${root}/run/agent.sock`,
  resolver: `${root}/resolver`,
  resolverSocket: `${root}/resolver/told.sock`,
  controlSocket: `${root}/run/control.sock`,
  controlListen: `${root}/control/control.sock`,
  agent: `${root}/agent`,
  agentJournal: `${root}/agent/journal.db`,
  control: `${root}/control`,
  log: `${root}/log`,
  lxcfs: `${root}/lxcfs`,
});

/** Written by lxcfs itself. */
export const lxcfsPidPath = (paths: InstancePaths): string => `${paths.run}/lxcfs-own.pid`;

/** A root directory's path ends up in units, mounts and socket addresses (107 bytes at most), so only plain ones will do. */
export const checkRoot = (root: string): string => {
  const plain = root.replace(/\/+$/, '');
  if (!/^(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$/.test(plain) || plain.length > 80)
    throw invalid(
      'root',
      `${JSON.stringify(root.slice(0, 100))} will not do: an absolute path of at most 80 letters, digits, "_", ".", "-", whose parts start with a letter or digit`,
    );
  return plain;
};

export const parseInstanceConfig = (path: string, text: string): InstanceConfig => parseFile(InstanceConfig, path, text, 'run `cenote up` to write it anew');

const DatabaseFile = Type.Object({ version: Type.Literal(1), url: Type.String({ pattern: '^postgres(ql)?://' }) }, closed);

/** The URL in it. */
export const parseDatabaseFile = (path: string, text: string): string =>
  parseFile(DatabaseFile, path, text, 'remove it and run `cenote up --database URL` to write it anew').url;

const parseFile = <T extends TSchema>(schema: T, path: string, text: string, advice: string): Static<T> => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CenoteError('failed', `${path} is not JSON`, { advice }); // without the parser's error, which quotes the text
  }
  if (Check(schema, value)) return value;
  const [, [first]] = Errors(schema, value);
  throw new CenoteError('failed', `${path}${first?.instancePath ?? ''}: ${first?.message ?? 'is not valid'}`, { advice });
};
