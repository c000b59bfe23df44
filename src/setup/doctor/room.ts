/** What room there is: disk, swap, limits of open files, kernel limits, addresses. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { formatMib } from '../../base/units.ts';
import { openAllotment } from '../../host/allotment/allotment.ts';
import { chooseSubnet } from '../../host/allotment/choose.ts';
import { hostFacts } from '../../host/allotment/host-facts.ts';
import { readText } from '../host-view.ts';
import { loweredSettings, readSetting } from '../kernel-settings.ts';
import { diskRoomAt, leastMib } from '../pool-size.ts';
import { hasSwap } from '../zram.ts';
import { fail, ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

const fewFiles = 65_536;

export const examineRoom = (root: string): Finding[] => [examineDisk(root), examineSwap(), examineFiles(), examineLimits(), examineAddresses(root)];

const examineDisk = (root: string): Finding => {
  let at = root;
  while (!existsSync(at)) at = dirname(at);
  const { freeMib, keptMib } = diskRoomAt(at);
  const says = `${formatMib(freeMib)} free at ${at}, of which the host keeps ${formatMib(keptMib)}`;
  return freeMib - keptMib < leastMib ? warn('disk', `${says}: too little for a new pool (${formatMib(leastMib)})`) : ok('disk', says);
};

const examineSwap = (): Finding => {
  if (hasSwap()) return ok('swap', (readText('/proc/swaps') ?? '').includes('zram') ? 'compressed swap in memory (zram)' : 'the host has swap');
  return existsSync('/sys/class/zram-control')
    ? warn('swap', 'none yet: `cenote up` makes compressed swap in memory (zram)')
    : warn('swap', 'none, and no zram in this kernel: borrowed memory can be taken back only from caches, or by ending the borrower');
};

const examineFiles = (): Finding => {
  const hard = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readText('/proc/self/limits') ?? '')?.[1] ?? Number.POSITIVE_INFINITY);
  return hard < fewFiles ? warn('open files', `at most ${hard} for a process here (hard limit)`) : ok('open files', `at most ${hard} for a process`);
};

const examineLimits = (): Finding => {
  const low = loweredSettings();
  if (low.length === 0) return ok('kernel limits', `fit for many machines; at most ${readSetting('kernel.pid_max')} processes`);
  return warn(
    'kernel limits',
    `not as many machines need them: ${low.map(({ setting, value }) => `${setting.key}=${value} (${setting.wanted})`).join(', ')}; \`cenote up\` sets them`,
  );
};

const examineAddresses = (root: string): Finding => {
  const allotment = openAllotment();
  const mine = allotment.find(root);
  if (mine !== null) return ok('addresses', `machines have ${mine.subnet}`);
  try {
    const taken = new Set(allotment.list().map(({ subnet }) => subnet));
    const subnet = chooseSubnet(0, taken, hostFacts().usedAddresses());
    return ok('addresses', `${subnet} is free for machines`);
  } catch (error) {
    return fail('addresses', error instanceof Error ? error.message : String(error));
  }
};
