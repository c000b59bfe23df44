/** What this host is, read from /proc: parsers are pure, so that hosts unlike this one can be tested. */
import { readFileSync, readdirSync } from 'node:fs';
import { release } from 'node:os';

export interface Mount {
  path: string;
  type: string;
  options: string[];
}

export const parseMounts = (text: string): Mount[] =>
  text.split('\n').flatMap((line) => {
    const [, path, type, options] = line.split(' ');
    return options === undefined
      ? []
      : [
          {
            path: path!.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
            type: type!,
            options: options.split(','),
          },
        ];
  });

export const readMounts = (): Mount[] => parseMounts(readFileSync('/proc/self/mounts', 'utf8'));

/** Bit numbers of linux/capability.h. */
export const capabilities = { netAdmin: 12, sysAdmin: 21, sysResource: 24 } as const;

const capabilitySet = (name: 'CapEff' | 'CapBnd'): bigint =>
  BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);

/** Ours. */
export const effectiveCapabilities = (): bigint => capabilitySet('CapEff');
/** What root has here, also when an ordinary user asks. */
export const capabilitiesOfRoot = (): bigint => capabilitySet('CapBnd');

export const hasCapability = (bit: number, set: bigint = effectiveCapabilities()): boolean => ((set >> BigInt(bit)) & 1n) === 1n;

/** File systems the running kernel can mount now. */
export const fileSystems = (text: string = readFileSync('/proc/filesystems', 'utf8')): string[] =>
  text.split('\n').flatMap((line) => line.split('\t')[1] ?? []);

/** A scheduler that is built in is offered by every disk; one that is a module, only once it is loaded. */
export const hasBfq = (): boolean =>
  loadableModules(release()).includes('bfq') || readdirSync('/sys/block').some((disk) => readText(`/sys/block/${disk}/queue/scheduler`)?.includes('bfq'));

export const runsSystemd = (init: string = readFileSync('/proc/1/comm', 'utf8')): boolean => init.trim() === 'systemd';

/** A file of /proc or /sys that may not be there. */
export const readText = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

/** Names of a running kernel's modules that can be loaded; none where it has none or they are not installed. */
export const loadableModules = (release: string): string[] =>
  (readText(`/lib/modules/${release}/modules.dep`) ?? '').split('\n').flatMap((line) => /([^/]+)\.ko[^:]*:/.exec(line)?.[1]?.replaceAll('-', '_') ?? []);
