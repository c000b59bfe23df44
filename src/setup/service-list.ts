/** The programs of an instance that run all the time, whoever keeps them running. */
import { backboneOf } from '../model/backbone.ts';
import { dnsZone, lxcfsPidPath, runDirectoryOf } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { resolverAccountName } from './account.ts';
import { plainEnvironment } from '../exec/run.ts';

/** Below it ports want a privilege, unless the host says otherwise. */
const firstOpenPort = 1024;

export const serviceNames = ['lxcfs', 'resolver', 'stand-in', 'agent', 'control'] as const;
export type ServiceName = (typeof serviceNames)[number];

export interface Service {
  name: ServiceName;
  description: string;
  /** Program and arguments, run as root. */
  argv: [string, ...string[]];
  env: Record<string, string>;
  /** Null is root. */
  user: string | null;
  /** What is taken from the modes of files it makes. The agent's must be passable where machines' own ids go through. */
  umask: number;
  /** Of -1000 to 1000, where ordinary programs have 0 and machines more: whom the kernel kills last when the whole host runs out. */
  oomScoreAdjust: number;
  /** It is to listen on a port below 1024, which wants a privilege: that one, and no other. */
  lowPorts: boolean;
  /** Machines use what it serves, so it goes only after them. */
  neededByMachines: boolean;
}

export const nodeProgram = (config: InstanceConfig, paths: InstancePaths, entry: string, flags: readonly string[] = []): [string, ...string[]] => [
  config.nodePath,
  ...flags,
  `${config.codePath}/src/${entry}`,
  '--root',
  paths.root,
];

/** What Node compiled is kept in the service's own directory, which nobody else can write: the next start takes half the time. */
export const nodeEnvironment = (own: string): Record<string, string> => ({
  ...plainEnvironment,
  NODE_ENV: 'production',
  NODE_COMPILE_CACHE: `${own}/compiled`,
});

export const servicesOf = (config: InstanceConfig, paths: InstancePaths): Service[] => {
  const node = (entry: string) => nodeProgram(config, paths, entry, lateOptimizer);
  return [
    {
      name: 'lxcfs',
      description: "Machines' own view of /proc",
      // A machine's load, memory and number of CPUs are its own; in the foreground, so that whoever keeps it sees it end.
      argv: ['/usr/bin/lxcfs', '--foreground', '--enable-loadavg', '--enable-cfs', '--pidfile', lxcfsPidPath(paths), paths.lxcfs],
      env: plainEnvironment,
      user: null,
      umask: 0o022,
      oomScoreAdjust: -900,
      lowPorts: false,
      neededByMachines: true,
    },
    {
      name: 'resolver',
      description: 'Resolver',
      argv: [config.nodePath, `${config.codePath}/src/resolver/main.ts`, ...resolverFacts(config, paths)],
      env: nodeEnvironment(paths.resolver),
      user: config.resolverUser?.name ?? resolverAccountName,
      umask: 0o077,
      oomScoreAdjust: -900,
      lowPorts: true,
      neededByMachines: true,
    },
    {
      name: 'stand-in',
      description: 'Governor while there is no agent',
      argv: [config.nodePath, ...smallHeap, `${config.codePath}/src/agent/stand-in.ts`, ...standInFacts(config, paths)],
      env: nodeEnvironment(paths.agent),
      user: null,
      umask: 0o077,
      oomScoreAdjust: -900,
      lowPorts: false,
      neededByMachines: true,
    },
    {
      name: 'agent',
      description: 'Agent',
      argv: node('agent/main.ts'),
      env: nodeEnvironment(paths.agent),
      user: null,
      umask: 0o022,
      oomScoreAdjust: -900,
      lowPorts: false,
      neededByMachines: false,
    },
    {
      name: 'control',
      description: 'Control plane',
      argv: node('control/main.ts'),
      env: nodeEnvironment(paths.control),
      user: config.user.name,
      umask: 0o077,
      // It faces people: when it grows beyond measure it is to go, but not before everything else.
      oomScoreAdjust: -250,
      lowPorts: [config.cloudapi?.port, config.dns?.listen?.port].some((port) => port !== undefined && port < firstOpenPort),
      neededByMachines: false,
    },
  ];
};

/** For a process that mostly waits: a fifth less memory. */
const smallHeap = ['--max-semi-space-size=1'];

/**
 * V8's last compiler only for what has been called 30,000 times, not 3,000: it works on threads of its own, up to a whole core of the machines' for
 * seconds after each start, and code that mostly waits for the kernel is as fast by the compiler before it (docs/decisions/0034).
 */
const lateOptimizer = ['--invocation-count-for-turbofan=30000'];

const standInFacts = ({ instance }: InstanceConfig, paths: InstancePaths): string[] => [
  '--instance',
  instance,
  '--directory',
  paths.agent,
  '--run',
  runDirectoryOf(instance),
  '--journal',
  paths.agentJournal,
];

const resolverFacts = (config: InstanceConfig, paths: InstancePaths): string[] => {
  const facts = ['--subnet', config.subnet, '--backbone', backboneOf(config.number).cidr, '--zone', dnsZone(config), '--told', paths.resolverSocket];
  return config.dns?.listen === undefined ? facts : [...facts, '--shared'];
};

/** The same as an ordinary user, for a keeper that is root itself; with the one privilege that ports below 1024 want, where it needs it. */
export const asUser = (user: string | null, argv: [string, ...string[]], lowPorts = false): [string, ...string[]] =>
  user === null ? argv : ['/usr/bin/setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups', '--no-new-privs', ...privileges(lowPorts), '--', ...argv];

const privileges = (lowPorts: boolean): string[] =>
  lowPorts ? ['--inh-caps=-all,+net_bind_service', '--ambient-caps=-all,+net_bind_service'] : ['--inh-caps=-all'];
