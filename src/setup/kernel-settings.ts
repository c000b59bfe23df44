/**
 * Kernel limits that density needs (reference: each has stopped some container host at 12 to 900 machines), and that keep machines from each
 * other's. A limit is only ever raised, one of the few that are to be small only lowered: what an administrator set further stays.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { FormerValue } from '../host/allotment/allotment.ts';
import { pieceSettings } from '../host/network/pieces.ts';

export interface KernelSetting {
  key: string;
  wanted: number;
  /** No more than that, rather than no less. */
  isMost?: boolean;
  why: string;
}

export const kernelSettings: readonly KernelSetting[] = [
  { key: 'fs.inotify.max_user_instances', wanted: 65_536, why: 'counted for the host user behind all machines, of which each may have 128' },
  { key: 'fs.inotify.max_user_watches', wanted: 8_388_608, why: 'as instances; each machine may have 65,536, in its own memory' },
  { key: 'fs.aio-max-nr', wanted: 1_048_576, why: 'databases ask for thousands each' },
  { key: 'kernel.keys.maxkeys', wanted: 20_000, why: 'a session keyring for every machine' },
  { key: 'kernel.keys.maxbytes', wanted: 2_000_000, why: 'as keys' },
  { key: 'kernel.pid_max', wanted: 4_194_304, why: 'one number space for the processes of all machines' },
  { key: 'kernel.pty.max', wanted: 16_384, why: 'terminals of exec' },
  { key: 'kernel.dmesg_restrict', wanted: 1, why: 'the kernel log is the host’s' },
  { key: 'net.ipv4.neigh.default.gc_thresh1', wanted: 8192, why: 'one neighbour entry for every machine' },
  { key: 'net.ipv4.neigh.default.gc_thresh2', wanted: 32_768, why: 'as above' },
  { key: 'net.ipv4.neigh.default.gc_thresh3', wanted: 65_536, why: 'as above' },
  { key: 'net.ipv6.neigh.default.gc_thresh1', wanted: 8192, why: 'as above' },
  { key: 'net.ipv6.neigh.default.gc_thresh2', wanted: 32_768, why: 'as above' },
  { key: 'net.ipv6.neigh.default.gc_thresh3', wanted: 65_536, why: 'as above' },
  ...([4, 6] as const).flatMap((family): KernelSetting[] => {
    const { time, memory } = pieceSettings[family];
    return [
      { key: time.key, wanted: time.value, isMost: true, why: 'pieces of datagrams that never become whole' },
      { key: memory.key, wanted: memory.value, why: 'all machines’ pieces of datagrams' },
    ];
  }),
  { key: 'net.ipv4.ip_forward', wanted: 1, why: 'machines reach the outside through the host' },
];

const bootPath = '/etc/sysctl.d/60-cenote.conf';
const pathOf = (key: string): string => `/proc/sys/${key.replaceAll('.', '/')}`;

export const readSetting = (key: string): number | null => {
  try {
    return Number(readFileSync(pathOf(key), 'utf8').trim());
  } catch {
    return null;
  }
};

const fits = ({ wanted, isMost = false }: KernelSetting, value: number): boolean => (isMost ? value <= wanted : value >= wanted);

/** Settings that are not as wanted, with their value; those this kernel does not have are passed over. */
export const loweredSettings = (): { setting: KernelSetting; value: number }[] =>
  kernelSettings.flatMap((setting) => {
    const value = readSetting(setting.key);
    return value === null || fits(setting, value) ? [] : [{ setting, value }];
  });

/** What would be changed, in the form the allotment notes. */
export const settingsToNote = (): FormerValue[] => loweredSettings().map(({ setting, value }) => ({ key: `sysctl:${setting.key}`, former: String(value) }));

/** Live, and for the next boot where the host has a place for it. The result is what could not be set. */
export const applySettings = (): { changed: number; refused: string[] } => {
  const refused: string[] = [];
  const low = loweredSettings();
  // Thresholds must not pass each other on the way up: the highest first.
  for (const { setting } of [...low].reverse()) {
    try {
      writeFileSync(pathOf(setting.key), String(setting.wanted));
    } catch {
      refused.push(setting.key);
    }
  }
  return { changed: low.length - refused.length, refused };
};

/** The file that brings the settings in `keys` back at boot; without keys, none. */
export const writeBootSettings = (keys: readonly string[]): void => {
  if (!existsSync('/etc/sysctl.d')) return;
  const mine = kernelSettings.filter(({ key }) => keys.includes(key));
  if (mine.length === 0) return rmSync(bootPath, { force: true });
  const text = ['# Written by `cenote up`, removed by the last `cenote destroy`.', ...mine.map(({ key, wanted }) => `${key} = ${wanted}`), ''].join('\n');
  if (existsSync(bootPath) && readFileSync(bootPath, 'utf8') === text) return;
  writeFileSync(bootPath, text, { mode: 0o644 });
};

/** Puts a former value back, unless someone changed it since. */
export const restoreSetting = (key: string, former: string): void => {
  const setting = kernelSettings.find((one) => one.key === key);
  if (setting !== undefined && readSetting(key) === setting.wanted) writeFileSync(pathOf(key), former);
};
