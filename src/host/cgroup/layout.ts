/** Where the control group hierarchies of this host are mounted. */
import { readFileSync } from 'node:fs';

export interface CgroupLayout {
  /** Mount point of the v2 tree, if there is one. */
  unified: string | null;
  /** Mount point by v1 controller name. */
  v1: Map<string, string>;
  /** Mount points of v1 trees that have a name and no controller (`name=systemd`): the runtime makes a group in each of them too. */
  named: string[];
}

const controllerNames = new Set([
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'hugetlb',
  'net_cls',
  'net_prio',
  'perf_event',
  'rdma',
  'misc',
]);

/** Reads the format of proc_pid_mountinfo(5); the first mount of a hierarchy counts. */
export const parseLayout = (mountinfo: string): CgroupLayout => {
  const layout: CgroupLayout = { unified: null, v1: new Map(), named: [] };
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    if (before === undefined || after === undefined) continue;
    const [, , , root, mountPoint] = before.split(' ');
    const [type, , options] = after.split(' ');
    if (root !== '/' || mountPoint === undefined) continue;
    if (type === 'cgroup2') layout.unified ??= mountPoint;
    if (type === 'cgroup') {
      const words = (options ?? '').split(',');
      const isNamed = words.some((word) => word.startsWith('name=')) && !words.some((word) => controllerNames.has(word));
      if (isNamed && !layout.named.includes(mountPoint)) layout.named.push(mountPoint);
      for (const option of words) {
        if (controllerNames.has(option) && !layout.v1.has(option)) layout.v1.set(option, mountPoint);
      }
    }
  }
  return layout;
};

export const detectLayout = (): CgroupLayout => parseLayout(readFileSync('/proc/self/mountinfo', 'utf8'));

/** Every tree that a machine has a directory in: v2 where it is mounted, the v1 controllers, and the named trees. */
export const treesOf = ({ unified, v1, named }: CgroupLayout): string[] => [...new Set([...v1.values(), ...named, ...(unified === null ? [] : [unified])])];
