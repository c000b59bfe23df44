/**
 * The text of systemd units. Two rules stand above hardening here. The agent has no mount namespace of its own (so no Private…
 * and no Protect… of files): what it mounts must be the host's, and stay when it is restarted. And stopping it ends the agent
 * alone (KillMode=process): machines and their monitors go on.
 */
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { servicesOf } from './service-list.ts';
import type { Service, ServiceName } from './service-list.ts';

export const unitName = (instance: string, name: ServiceName): string => `cenote-${instance}-${name}.service`;

/** Unit texts by file name. */
export const unitsOf = (config: InstanceConfig, paths: InstancePaths): Record<string, string> =>
  Object.fromEntries(servicesOf(config, paths).map((service) => [unitName(config.instance, service.name), unitOf(service, config, paths)]));

const unitOf = (service: Service, config: InstanceConfig, paths: InstancePaths): string => {
  const lines = { lxcfs: lxcfsLines, agent: agentLines, control: controlLines }[service.name](config, paths);
  return [
    '# Written by `cenote up`; changes are lost.',
    '[Unit]',
    `Description=Cenote (${config.instance}): ${service.description}`,
    `RequiresMountsFor=${paths.root} ${config.codePath}`,
    ...lines.unit,
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    ...lines.before,
    `ExecStart=${service.argv.join(' ')}`,
    ...Object.entries(service.env).map(([name, value]) => `Environment=${name}=${value}`),
    'Restart=always',
    'RestartSec=500ms',
    `UMask=${service.umask.toString(8).padStart(4, '0')}`,
    ...lines.service,
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
};

interface UnitLines {
  unit: string[];
  before: string[];
  service: string[];
}

const lxcfsLines = (config: InstanceConfig, paths: InstancePaths): UnitLines => ({
  unit: [`Before=${unitName(config.instance, 'agent')}`],
  before: [`ExecStartPre=-/usr/bin/umount -l ${paths.lxcfs}`],
  service: ['KillMode=process', 'Delegate=yes', 'OOMScoreAdjust=-900', 'TimeoutStopSec=10s', `ExecStopPost=-/usr/bin/umount -l ${paths.lxcfs}`],
});

const agentLines = (config: InstanceConfig, paths: InstancePaths): UnitLines => ({
  unit: [`Wants=network.target ${unitName(config.instance, 'lxcfs')}`, `After=network.target systemd-sysctl.service ${unitName(config.instance, 'lxcfs')}`],
  // What a reboot takes from the host: a v1 hierarchy, zram swap, limits someone lowered.
  before: [`ExecStartPre=-${config.nodePath} ${config.codePath}/src/setup/prepare.ts --root ${paths.root}`],
  service: [
    'KillMode=process',
    'SendSIGKILL=no',
    'Delegate=yes',
    'OOMScoreAdjust=-900',
    'OOMPolicy=continue',
    'LimitNOFILE=1048576',
    'LimitNPROC=infinity',
    'LimitMEMLOCK=infinity',
    'TasksMax=infinity',
    'TimeoutStartSec=180s',
    'TimeoutStopSec=30s',
    'NoNewPrivileges=no',
  ],
});

const controlLines = (config: InstanceConfig, paths: InstancePaths): UnitLines => ({
  unit: [`Wants=${unitName(config.instance, 'agent')}`, `After=network.target ${unitName(config.instance, 'agent')}`],
  before: [],
  service: [
    `User=${config.user.name}`,
    `Group=${config.user.name}`,
    'TimeoutStopSec=30s',
    'LimitNOFILE=65536',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'AmbientCapabilities=',
    'ProtectSystem=strict',
    `ReadWritePaths=${paths.control}`,
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
  ],
});
