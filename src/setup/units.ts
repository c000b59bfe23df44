/**
 * The text of systemd units. Two rules stand above hardening here. The agent has no mount namespace of its own (so no Private…
 * and no Protect… of files) and no system call filter: what it mounts must be the host's, and stay when it is restarted, and what it
 * starts inherits its filters. And stopping it ends the agent alone (KillMode=process).
 *
 * Machines and their monitors live in the group of a unit of their own (see host/cgroup/parent.ts). A unit without a process loses its group,
 * so it has one that sleeps. Nothing depends on it: when it is killed, the unit stays as it is, and with it all that runs there.
 */
import { existsSync, realpathSync } from 'node:fs';
import { machinesUnit } from '../host/cgroup/parent.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { protectedMib, unitWeight } from './service-group.ts';
import { nodeEnvironment, nodeProgram, servicesOf } from './service-list.ts';
import type { Service, ServiceName } from './service-list.ts';

export const unitName = (instance: string, name: ServiceName): string => `cenote-${instance}-${name}.service`;

export const prepareUnit = (instance: string): string => `cenote-${instance}-prepare.service`;

/** Unit texts by file name. */
export const unitsOf = (config: InstanceConfig, paths: InstancePaths): Record<string, string> =>
  Object.fromEntries([
    [prepareUnit(config.instance), prepareText(config, paths)],
    [machinesUnit(config.instance), machinesText(config, paths)],
    ...servicesOf(config, paths).map((service) => [unitName(config.instance, service.name), serviceText(service, config, paths)]),
  ]);

interface UnitText {
  description: string;
  unit: string[];
  service: string[];
}

const unitText = (config: InstanceConfig, paths: InstancePaths, { description, unit, service }: UnitText): string =>
  [
    '# Written by `cenote up`; changes are lost.',
    '[Unit]',
    `Description=Cenote (${config.instance}): ${description}`,
    `RequiresMountsFor=${paths.root} ${config.codePath}`,
    ...unit,
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    ...service,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');

const environment = (env: Readonly<Record<string, string>>): string[] => Object.entries(env).map(([name, value]) => `Environment=${name}=${value}`);

/** Mounted by the agent, and when the host shuts down not to be unmounted before those who use it have ended. */
const poolIsNeeded = (paths: InstancePaths): string => `RequiresMountsFor=${paths.root}/storage/pool`;

/** At boot only (`up` does it itself): what a reboot takes from the host, which is a v1 hierarchy, zram swap, limits someone lowered. */
const prepareText = (config: InstanceConfig, paths: InstancePaths): string =>
  unitText(config, paths, {
    description: 'Host',
    unit: ['After=systemd-sysctl.service', `Before=${machinesUnit(config.instance)} ${unitName(config.instance, 'lxcfs')}`],
    service: [
      'Type=oneshot',
      'RemainAfterExit=yes',
      `ExecStart=${nodeProgram(config, paths, 'setup/prepare.ts').join(' ')}`,
      ...environment(nodeEnvironment(paths.agent)),
      'TimeoutStartSec=180s',
    ],
  });

/**
 * Directly below the root, since memory is protected only as far as it is for every group above. What it has of memory and CPU the agent
 * tells systemd (see host/cgroup). A machine that is out of memory must not end the others.
 */
const machinesText = (config: InstanceConfig, paths: InstancePaths): string =>
  unitText(config, paths, {
    description: 'Machines',
    unit: [poolIsNeeded(paths)],
    service: [
      'Type=exec',
      'ExecStart=/usr/bin/sleep infinity',
      'RemainAfterExit=yes',
      'SuccessExitStatus=SIGKILL SIGTERM SIGINT SIGHUP',
      'NoNewPrivileges=yes',
      'CapabilityBoundingSet=',
      'OOMScoreAdjust=-1000',
      'OOMPolicy=continue',
      'Slice=-.slice',
      'Delegate=yes',
      'TasksMax=infinity',
      // For what the agent has left: as first process of a namespace, a program without a handler never ends of SIGTERM.
      'TimeoutStopSec=10s',
    ],
  });

const serviceText = (service: Service, config: InstanceConfig, paths: InstancePaths): string => {
  const lines = linesOf[service.name](config, paths, service);
  return unitText(config, paths, {
    description: service.description,
    unit: lines.unit,
    service: [
      'Type=exec',
      ...lines.before,
      `ExecStart=${service.argv.join(' ')}`,
      ...environment(service.env),
      'Restart=always',
      'RestartSec=500ms',
      `UMask=${service.umask.toString(8).padStart(4, '0')}`,
      ...protection(service),
      ...lines.service,
    ],
  });
};

/** Whatever machines do, these go on. Directly below the root for the same reason as the machines. */
const protection = ({ name, oomScoreAdjust }: Service): string[] => [
  'Slice=-.slice',
  `CPUWeight=${unitWeight(name)}`,
  `MemoryMin=${protectedMib[name]}M`,
  `OOMScoreAdjust=${oomScoreAdjust}`,
];

interface UnitLines {
  unit: string[];
  before: string[];
  service: string[];
}

const lxcfsLines = (config: InstanceConfig, paths: InstancePaths): UnitLines => ({
  unit: [`Before=${unitName(config.instance, 'agent')}`],
  before: [`ExecStartPre=-/usr/bin/umount -l ${paths.lxcfs}`],
  service: [
    'KillMode=process',
    'TimeoutStopSec=10s',
    `ExecStopPost=-/usr/bin/umount -l ${paths.lxcfs}`,
    // Its mount must be the host's, so nothing that gives it a mount namespace.
    'NoNewPrivileges=yes',
    'LockPersonality=yes',
    'RestrictAddressFamilies=AF_UNIX',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'SystemCallArchitectures=native',
  ],
});

/** Nothing that the agent does needs these; all else of root's it has (mounts, namespaces, links, other users' files). */
const neverNeeded =
  'AUDIT_CONTROL AUDIT_READ BLOCK_SUSPEND LEASE MAC_ADMIN MAC_OVERRIDE SYSLOG SYS_BOOT SYS_MODULE SYS_PACCT SYS_RAWIO SYS_TIME SYS_TTY_CONFIG WAKE_ALARM';

const agentLines = ({ instance }: InstanceConfig, paths: InstancePaths): UnitLines => ({
  unit: [
    poolIsNeeded(paths),
    `Wants=network.target ${unitName(instance, 'lxcfs')}`,
    // Whoever stops the machines' unit stops the agent first, which would start them again.
    `Requires=${machinesUnit(instance)}`,
    `After=network.target ${machinesUnit(instance)} ${unitName(instance, 'lxcfs')}`,
  ],
  before: [],
  service: [
    'KillMode=process',
    'OOMPolicy=continue',
    'LimitNOFILE=1048576',
    'LimitNPROC=infinity',
    'LimitMEMLOCK=infinity',
    'TasksMax=infinity',
    'TimeoutStartSec=180s',
    // When the host shuts down, machines are stopped first.
    'TimeoutStopSec=90s',
    `CapabilityBoundingSet=~${neverNeeded.replaceAll(/\S+/g, 'CAP_$&')}`,
  ],
});

/** Writes in control groups and in `/proc` of all machines' processes, whoever they run as, and may have to end one. */
const standInNeeds = ['CAP_DAC_OVERRIDE', 'CAP_KILL', 'CAP_SYS_RESOURCE'].join(' ');

const standInLines = ({ instance }: InstanceConfig): UnitLines => ({
  unit: [`Before=${unitName(instance, 'agent')}`],
  before: [],
  service: [
    'TimeoutStopSec=10s',
    'NoNewPrivileges=yes',
    `CapabilityBoundingSet=${standInNeeds}`,
    'LockPersonality=yes',
    'RestrictAddressFamilies=AF_UNIX',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'SystemCallArchitectures=native',
  ],
});

const bindLowPorts = 'CAP_NET_BIND_SERVICE';

const controlLines = (config: InstanceConfig, paths: InstancePaths, service: Service): UnitLines => ({
  unit: [`Wants=${unitName(config.instance, 'agent')}`, `After=network.target ${unitName(config.instance, 'agent')}`],
  before: [],
  service: ['TimeoutStopSec=30s', 'LimitNOFILE=65536', ...confined(service, paths.control), ...seenBelowTmp(config, paths)],
});

/** Reads what machines send: of the control plane it sees nothing, and the agent lets in only root and the group of the other. */
const resolverLines = (config: InstanceConfig, paths: InstancePaths, service: Service): UnitLines => ({
  unit: ['After=network.target'],
  before: [],
  service: [
    'TimeoutStopSec=10s',
    'LimitNOFILE=16384',
    `InaccessiblePaths=-${paths.control}`,
    ...confined(service, paths.resolver),
    ...seenBelowTmp(config, paths),
  ],
});

const linesOf: Record<ServiceName, (config: InstanceConfig, paths: InstancePaths, service: Service) => UnitLines> = {
  lxcfs: lxcfsLines,
  resolver: resolverLines,
  'stand-in': standInLines,
  agent: agentLines,
  control: controlLines,
};

/** A private `/tmp` would hide a checkout or an instance that lies there, and packages that a link leads to. */
const seenBelowTmp = ({ codePath, nodePath }: InstanceConfig, { root }: InstancePaths): string[] =>
  [root, codePath, nodePath, whereIs(`${codePath}/node_modules`)]
    .filter((path, index, all) => /^(\/var)?\/tmp\//.test(path) && !all.slice(0, index).some((other) => path.startsWith(`${other}/`)))
    .map((path) => `BindReadOnlyPaths=${path}`);

const whereIs = (path: string): string => (existsSync(path) ? realpathSync(path) : path);

/** What faces people, networks or machines: an ordinary user's process, which writes nowhere but in its own directory. */
const confined = ({ user, lowPorts }: Service, own: string): string[] => [
  `User=${user}`,
  `Group=${user}`,
  'NoNewPrivileges=yes',
  `CapabilityBoundingSet=${lowPorts ? bindLowPorts : ''}`,
  `AmbientCapabilities=${lowPorts ? bindLowPorts : ''}`,
  'ProtectSystem=strict',
  `ReadWritePaths=${own}`,
  // Readable, because the checkout may be in a home directory.
  'ProtectHome=read-only',
  'PrivateTmp=yes',
  'PrivateDevices=yes',
  'ProtectClock=yes',
  'ProtectControlGroups=yes',
  'ProtectHostname=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectKernelTunables=yes',
  'ProtectProc=invisible',
  'RemoveIPC=yes',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'LockPersonality=yes',
  'SystemCallArchitectures=native',
  'SystemCallFilter=@system-service',
  'SystemCallFilter=~@privileged @resources',
  'SystemCallErrorNumber=EPERM',
];
