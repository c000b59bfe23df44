/** What the kernel offers: control groups, namespaces, file systems, pressure, capabilities. */
import { existsSync } from 'node:fs';
import type { CgroupLayout } from '../../host/cgroup/layout.ts';
import { capabilities, hasCapability } from '../host-view.ts';
import { fail, ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

export interface KernelFacts {
  /** `6.1.0-18-amd64` */
  release: string;
  layout: CgroupLayout;
  /** Of the v2 tree's root. */
  unifiedControllers: readonly string[];
  /** Those it can mount now, and those there is a module for. */
  fileSystems: readonly string[];
  capabilities: bigint;
  hasPressure: boolean;
  /** The scheduler that shares a disk by weight, built in or as a module. */
  hasBfq: boolean;
  maxUserNamespaces: number | null;
}

const neededControllers = ['cpu', 'cpuset', 'memory', 'pids'] as const;
const idmappedOverlayKernel = '5.19';
const squotaKernel = '6.7';

export const kernelVersion = (release: string): number => {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  // 5.19 must be more than 5.2: two digits for the minor.
  return Number(major ?? 0) + Number(minor ?? 0) / 100;
};

export const examineKernel = (facts: KernelFacts): Finding[] => {
  const { release, layout } = facts;
  const has = (name: string): boolean => facts.fileSystems.includes(name);
  return [
    kernelVersion(release) >= kernelVersion(idmappedOverlayKernel)
      ? ok('kernel', `Linux ${release}`)
      : fail('kernel', `Linux ${release} is too old: overlay over idmapped trees needs ${idmappedOverlayKernel}`),
    ...examineCgroups(layout, facts.unifiedControllers),
    facts.hasPressure
      ? ok('pressure', 'the kernel tells how long tasks wait for CPU, memory and disk (PSI)')
      : warn('pressure', 'no pressure figures (PSI): waiting is not shown, and memory is taken back by usage alone'),
    examineIo(facts),
    existsSync('/proc/self/ns/user') && facts.maxUserNamespaces !== 0
      ? ok('user namespaces', `each machine has ids of its own${facts.maxUserNamespaces === null ? '' : `; at most ${facts.maxUserNamespaces} namespaces`}`)
      : fail('user namespaces', 'this kernel has none, or user.max_user_namespaces is 0'),
    has('overlay') ? ok('overlay', 'machines share one read-only tree and one page cache') : fail('overlay', 'this kernel has no overlay file system'),
    has('btrfs')
      ? ok(
          'quota',
          kernelVersion(release) >= kernelVersion(squotaKernel)
            ? 'btrfs simple quotas: live in both directions, cheap with many snapshots'
            : 'btrfs quota groups: live in both directions; simple quotas (Linux 6.7) would be cheaper with many snapshots',
        )
      : warn('quota', 'no btrfs: the plain-directory driver has no quotas and no snapshots'),
    has('fuse') && existsSync('/dev/fuse')
      ? ok('fuse', 'lxcfs can show machines their own /proc')
      : warn('fuse', 'no FUSE: machines see the host’s memory and CPU figures in /proc'),
    hasCapability(capabilities.sysAdmin, facts.capabilities) && hasCapability(capabilities.netAdmin, facts.capabilities)
      ? ok('privilege', 'root has the capabilities machines need')
      : fail('privilege', 'root here lacks CAP_SYS_ADMIN or CAP_NET_ADMIN: an ordinary container is no host for machines'),
    hasCapability(capabilities.sysResource, facts.capabilities)
      ? ok('rlimits', 'limits of processes can be raised (CAP_SYS_RESOURCE)')
      : warn('rlimits', 'no CAP_SYS_RESOURCE: limits of open files and processes stay as inherited, the agent is not protected from out-of-memory kills'),
  ];
};

const examineIo = ({ layout, unifiedControllers, hasBfq }: KernelFacts): Finding => {
  const isV2 = unifiedControllers.includes('io');
  if (!isV2 && !layout.v1.has('blkio')) return warn('disk I/O', 'no io controller: machines have no shares of the disk and no limits');
  const weights = hasBfq ? "machines share the pool's own disk by weight (bfq)" : 'no bfq: machines share the disk by weight only where iocost is set up';
  if (isV2) return hasBfq ? ok('disk I/O', `${weights}; reads and writes can be limited`) : warn('disk I/O', `${weights}; reads and writes can be limited`);
  return warn('disk I/O', `${weights}; reads can be limited, writes not: on v1 a limited writer would hold up its neighbours`);
};

const examineCgroups = (layout: CgroupLayout, unified: readonly string[]): Finding[] => {
  const present = (name: string): boolean => layout.v1.has(name) || unified.includes(name);
  const missing = neededControllers.filter((name) => !present(name));
  if (layout.unified === null) {
    const place = layout.v1.size === 0 ? '/sys/fs/cgroup' : '/sys/fs/cgroup/unified';
    return [fail('cgroups', `the v2 hierarchy is not mounted, by which machines are frozen and killed: mount -t cgroup2 cgroup2 ${place}`)];
  }
  if (missing.length > 0) return [fail('cgroups', `controllers missing: ${missing.join(', ')}; without them there are no guarantees and no limits`)];
  if (layout.v1.size === 0) return [ok('cgroups', `v2 with ${unified.join(', ')}`)];
  const left = unified.filter((name) => !layout.v1.has(name));
  return [
    warn('cgroups', `hybrid (${[...layout.v1.keys()].join(', ')} on v1): limits and CPU shares work; memory guarantees are weaker than on v2`),
    ...(left.length > 0
      ? [warn('cgroups v2', `${left.join(', ')} left on v2 beside v1: \`cenote up\` mounts hugetlb as v1, because crun refuses such a mixture`)]
      : []),
  ];
};
