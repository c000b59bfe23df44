/** A machine's size as the kernel itself has it: control files and quota groups, read back as resources. */
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { detectLayout } from '../../src/host/cgroup/layout.ts';
import { parentPaths } from '../../src/host/cgroup/parent.ts';
import type { AgentInfo } from '../../src/model/agent-api.ts';
import type { Resources } from '../../src/model/resources.ts';
import type { TestInstance } from './instance.ts';

const layout = detectLayout();
/** Whether memory is governed by cgroup v1. */
export const isV1 = layout.v1.has('memory');
const mib = 2 ** 20;
/** There a weight does not tell thousandths of a core. */
const hasCoarseWeights = availableParallelism() > 10;

export class KernelNumbers {
  readonly #cenote: Pick<TestInstance, 'instance' | 'root'>;
  readonly #agent: AgentInfo;
  /** What this host cannot honour. */
  readonly unsupported: ReadonlySet<string>;

  constructor(cenote: Pick<TestInstance, 'instance' | 'root'>, agent: AgentInfo) {
    this.#cenote = cenote;
    this.#agent = agent;
    this.unsupported = new Set(agent.unsupported.map(({ field }) => field));
  }

  of(id: string): Partial<Resources> {
    const orNull = (text: string, scale = 1): number | null => (text === 'max' || text === '-1' || text === '' ? null : Number(text) / scale);
    const control = (controller: string, file: string) => this.#control(controller, id, file);
    const limit = isV1 ? control('memory', 'memory.limit_in_bytes') : control('memory', 'memory.max');
    const memoryCeilingMib = Number(limit) / mib;
    const quota = isV1 ? control('cpu', 'cpu.cfs_quota_us') : control('cpu', 'cpu.max').split(' ')[0]!;
    const number = readFileSync(`/sys/block/${this.#disk()}/dev`, 'utf8').trim();
    const throttle = (file: string) => (new RegExp(`^${number} (\\d+)$`, 'm').exec(control('blkio', `blkio.throttle.${file}`)) ?? [])[1] ?? '';
    const ioMax = (key: string) => (new RegExp(`^${number} .*${key}=(\\S+)`, 'm').exec(control('io', 'io.max')) ?? [])[1] ?? '';
    const has = (field: string) => !this.unsupported.has(field);
    return {
      ...(isV1 ? { cpuMillis: Math.round((Number(control('cpu', 'cpu.shares')) * 1000) / 1024) } : {}),
      ...(isV1 || hasCoarseWeights ? {} : { cpuMillis: Number(control('cpu', 'cpu.weight')) }),
      cpuCeilingMillis: orNull(quota, 100),
      memoryMib: Number(control('memory', isV1 ? 'memory.soft_limit_in_bytes' : 'memory.min')) / mib,
      memoryCeilingMib: memoryCeilingMib === this.#agent.pool.memoryMib ? null : memoryCeilingMib,
      processes: Number(control('pids', 'pids.max')),
      ...(has('ioReadMibps') ? { ioReadMibps: isV1 ? orNull(throttle('read_bps_device'), mib) : orNull(ioMax('rbps'), mib) } : {}),
      ...(has('ioReadIops') ? { ioReadIops: isV1 ? orNull(throttle('read_iops_device')) : orNull(ioMax('riops')) } : {}),
      ...(has('ioWeight')
        ? { ioWeight: Number(/\d+$/.exec(isV1 ? control('blkio', 'blkio.bfq.weight') : control('io', 'io.bfq.weight').split('\n')[0]!)![0]) }
        : {}),
    };
  }

  pids(id: string): string[] {
    return this.#control('pids', id, 'cgroup.procs').split('\n');
  }

  /** Of each of its processes: whom the kernel would kill first. */
  oomScores(id: string): number[] {
    return this.pids(id).map((pid) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')));
  }

  /** Quotas of all machines' volumes, in MiB, the smallest first. Groups of volumes that are gone may be there for a while. */
  quotas(): number[] {
    const disk = this.#disk();
    const files = readdirSync('/sys/fs/btrfs').map((name) => join('/sys/fs/btrfs', name));
    const pool = files.find((path) => existsSync(join(path, 'devices', disk)))!;
    const volumes = join(this.#cenote.root, 'storage/pool/volumes');
    return readdirSync(volumes)
      .map((id) => readlinkSync(join(volumes, id, 'group')))
      .map((group) => Number(readFileSync(join(pool, 'qgroups', `1_${group}`, 'max_referenced'), 'utf8')) / mib)
      .toSorted((a, b) => a - b);
  }

  #control(controller: string, id: string, file: string): string {
    const tree = isV1 ? layout.v1.get(controller)! : layout.unified!;
    const parent = parentPaths(this.#cenote.instance).find((path) => existsSync(join(tree, path)))!;
    return readFileSync(join(tree, parent, id, file), 'utf8').trim();
  }

  /** The pool's, as `loop3`. */
  #disk(): string {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    const line = mounts.find((one) => one.includes(`${this.#cenote.root}/storage/pool `))!;
    return basename(line.split(' - ')[1]!.split(' ')[1]!);
  }
}
