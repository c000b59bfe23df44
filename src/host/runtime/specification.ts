/** The OCI runtime specification of a machine: pure, so that what confines a machine can be read and tested in one place. */

/** The set Podman gives by default; no raw sockets, no mknod, no audit. */
export const capabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
] as const;

/**
 * Debian's `ping` has CAP_NET_RAW on its file, and the kernel runs no program whose file's capabilities are beyond the bounding set. Where
 * nothing can be gained by a program's start, the file's may be there: it then runs without, as pings need none (ping_group_range below).
 */
export const processCapabilities = (noNewPrivileges: boolean) => ({
  bounding: noNewPrivileges ? [...capabilities, 'CAP_NET_RAW'] : capabilities,
  effective: capabilities,
  permitted: capabilities,
  inheritable: [],
});

/**
 * Directories that machines see empty. Those that this host has get the one empty directory bound over them: the runtime would mount a
 * file system over each, and each costs every machine memory.
 */
export const maskedDirectories = ['/proc/acpi', '/proc/asound', '/proc/scsi', '/sys/dev/block', '/sys/devices/virtual/powercap', '/sys/firmware'];

const maskedFiles = ['/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/sched_debug', '/proc/timer_list', '/proc/timer_stats'];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export interface ProcessUser {
  uid: number;
  gid: number;
  additionalGids: number[];
}

export interface SpecificationRequest {
  hostname: string;
  root: string;
  args: string[];
  env: string[];
  cwd: string;
  user: ProcessUser;
  userNamespace: string;
  networkNamespace: string;
  cgroupsPath: string;
  /** Host files and directories bound read-only inside, by their path inside. */
  files: Record<string, string>;
  /** Those of `maskedDirectories` that this host has. */
  masked: readonly string[];
  /** An empty directory. */
  empty: string;
  /** Where lxcfs is mounted, or null. */
  lxcfs: string | null;
  noNewPrivileges: boolean;
  oomScoreAdj: number;
}

const bind = (source: string, destination: string) => ({ destination, type: 'bind', source, options: ['bind', 'ro', 'nosuid', 'nodev', 'noexec'] });

const lxcfsFiles = ['cpuinfo', 'diskstats', 'loadavg', 'meminfo', 'stat', 'swaps', 'uptime'];

/** What of lxcfs, mounted there, a machine sees and where. */
export const lxcfsBinds = (lxcfs: string): { source: string; destination: string }[] =>
  [...lxcfsFiles.map((file) => `/proc/${file}`), '/sys/devices/system/cpu'].map((path) => ({ source: `${lxcfs}${path}`, destination: path }));

const lxcfsMounts = (lxcfs: string | null) => (lxcfs === null ? [] : lxcfsBinds(lxcfs).map(({ source, destination }) => bind(source, destination)));

/** All but the system call filter, which the runtime adds. */
export const machineSpecification = (request: SpecificationRequest) => ({
  ociVersion: '1.0.0',
  process: {
    terminal: false,
    user: request.user,
    args: request.args,
    env: request.env,
    cwd: request.cwd,
    capabilities: processCapabilities(request.noNewPrivileges),
    noNewPrivileges: request.noNewPrivileges,
    // When the whole host runs out, machines go before the agent and what else keeps the host alive. Higher is always allowed, lower is not.
    oomScoreAdj: request.oomScoreAdj,
  },
  root: { path: request.root, readonly: false },
  hostname: request.hostname,
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=1m'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777'] },
    // With the directories that programs expect there, from the root's own /run (see host/platform/run-directories.ts).
    { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=755', 'tmpcopyup'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
    ...request.masked.map((path) => bind(request.empty, path)),
    ...Object.entries(request.files).map(([inside, source]) => bind(source, inside)),
    ...lxcfsMounts(request.lxcfs),
  ],
  linux: {
    namespaces: [
      { type: 'user', path: request.userNamespace },
      { type: 'network', path: request.networkNamespace },
      { type: 'pid' },
      { type: 'ipc' },
      { type: 'uts' },
      { type: 'mount' },
      { type: 'cgroup' },
    ],
    cgroupsPath: request.cgroupsPath,
    resources: { devices: [{ allow: false, access: 'rwm' }] },
    maskedPaths: [...maskedFiles, ...maskedDirectories.filter((path) => !request.masked.includes(path))],
    readonlyPaths,
    rootfsPropagation: 'private',
  },
});
