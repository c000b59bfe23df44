/**
 * Makes the host fit for machines, and puts it back. Every change is noted in the allotment, with what was there before, before it
 * is made: a crash in between is undone by the last `destroy` as if it had been made.
 */
import { existsSync } from 'node:fs';
import { installed, run, runAny } from '../exec/run.ts';
import type { Allotment, FormerValue } from '../host/allotment/allotment.ts';
import { detectLayout } from '../host/cgroup/layout.ts';
import { setDynamic, treeOptionsKey, undynamicTree } from '../host/cgroup/tree-options.ts';
import { applySettings, kernelSettings, restoreSetting, settingsToNote, writeBootSettings } from './kernel-settings.ts';
import { mountHierarchy, missingHierarchy, unmountHierarchy } from './control-groups.ts';
import { fileSystems, readText } from './host-view.ts';
import { ensureZram, removeZram } from './zram.ts';

const forwarding = 'net.ipv4.ip_forward';
const modules = ['overlay', 'btrfs', 'fuse', 'veth', 'loop', 'nf_tables', 'nft_nat'] as const;

export const prepareHost = async (allotment: Allotment, instance: string): Promise<{ said: string }> => {
  const said: string[] = [];
  await loadModules();
  await ensureFuse();
  await forgetLostZram(allotment);
  // An instance that finds a change already made for another needs it no less.
  const known = Object.keys(allotment.changes()).map((key) => ({ key, former: '' }));
  await allotment.noteChange(instance, [...settingsToNote(), ...known]);
  const { changed, refused } = applySettings();
  writeBootSettings(notedSettings(allotment));
  said.push(changed === 0 ? `${kernelSettings.length - refused.length} kernel limits fit` : `${changed} kernel limits set`);
  if (refused.length > 0) said.push(`not allowed to set ${refused.join(', ')}`);

  const hierarchy = missingHierarchy(detectLayout());
  if (hierarchy !== null) {
    await allotment.noteChange(instance, [{ key: `mount:${hierarchy}`, former: '' }]);
    mountHierarchy();
    said.push('hugetlb mounted as a v1 hierarchy');
  }
  const tree = undynamicTree();
  if (tree !== null) {
    const key = treeOptionsKey(tree.path);
    await allotment.noteChange(instance, [{ key, former: tree.options }]);
    // What was noted first: since then someone may have taken the tree's other options away (see host/cgroup/tree-options.ts).
    const options = allotment.changes()[key]?.former ?? tree.options;
    if (setDynamic({ path: tree.path, options }, true)) said.push('quick moves between control groups');
    else await allotment.forgetChanges([key]);
  }
  let device: string | null = null;
  const zram = await ensureZram((chosen) => {
    device = chosen;
    return allotment.noteChange(instance, [{ key: `zram:${chosen}`, former: '' }]);
  });
  if (zram.made === null && device !== null) await allotment.forgetChanges([`zram:${String(device)}`]);
  if (zram.made !== null) said.push(`${zram.sizeMib} MiB of zram swap`);
  return { said: said.join(', ') };
};

/** Someone else's table of ours (an instance the record does not know, a test) still forwards: cutting it off would be worse than leaving the setting. */
const forwardingIsUsed = async (): Promise<boolean> => / cenote-/.test((await runAny('nft', ['list', 'tables'])).stdout);

/** For `Allotment.unregister`: puts back what no instance needs any more. */
export const undoHostChanges =
  (onProblem: (message: string) => void) =>
  async (changes: FormerValue[]): Promise<void> => {
    // Downwards in the opposite order of upwards, so that thresholds do not pass each other.
    const order = kernelSettings.map(({ key }) => `sysctl:${key}`);
    for (const { key, former } of [...changes].sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key))) {
      try {
        const [kind, name] = [key.slice(0, key.indexOf(':')), key.slice(key.indexOf(':') + 1)];
        if (kind === 'sysctl' && former !== '' && !(name === forwarding && (await forwardingIsUsed()))) restoreSetting(name, former);
        if (kind === 'mount') unmountHierarchy();
        if (kind === 'favordynmods' && former !== '') setDynamic({ path: name, options: former }, false);
        if (kind === 'zram') await removeZram(name);
      } catch (error) {
        onProblem(`${key} could not be put back: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (changes.some(({ key }) => key.startsWith('sysctl:'))) writeBootSettings([]);
  };

/** A device of before the last boot: its number may be someone else's now. */
const forgetLostZram = async (allotment: Allotment): Promise<void> => {
  const swaps = readText('/proc/swaps') ?? '';
  const lost = Object.keys(allotment.changes()).filter((key) => key.startsWith('zram:') && !swaps.includes(`${key.slice('zram:'.length)} `));
  if (lost.length > 0) await allotment.forgetChanges(lost);
};

const notedSettings = (allotment: Allotment): string[] =>
  Object.keys(allotment.changes()).flatMap((key) => (key.startsWith('sysctl:') ? [key.slice('sysctl:'.length)] : []));

/** A module that is built in, or that there is none of, is no error here: `doctor` says what is missing. */
const loadModules = async (): Promise<void> => {
  if (!(await installed('modprobe'))) return;
  const present = new Set(fileSystems());
  const wanted = modules.filter((name) => !present.has(name) && !existsSync(`/sys/module/${name}`));
  if (wanted.length > 0) await runAny('modprobe', ['--all', '--quiet', ...wanted]);
};

const ensureFuse = async (): Promise<void> => {
  if (!existsSync('/dev/fuse') && fileSystems().includes('fuse')) await run('mknod', ['-m', '666', '/dev/fuse', 'c', '10', '229']);
};
