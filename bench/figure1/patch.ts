/**
 * The platform patched while machines run: a small package of our own is put on the host with dpkg, then a newer one over it, and every machine is
 * asked which it sees. Then the machines are rebooted one after another, as for a library that running programs have loaded. At the end the
 * package is off the host again.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlClient } from '../../src/client/control.ts';
import { openExec } from '../../src/cli/machine/exec-session.ts';
import { installed, run } from '../../src/exec/run.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { demand } from '../lib/instance.ts';
import { timed } from '../lib/measure.ts';
import { targetOf, untilAnswers } from './tenants.ts';
import type { Tenants } from './tenants.ts';

export interface PatchFigures {
  /** dpkg's own time for the newer package. */
  patchMs: number;
  /** Asking all machines, all at once, after that. */
  seenMs: number;
  machines: number;
  seeIt: number;
  /** All rebooted, one after another, each answering again before the next. */
  rebootAllMs: number;
}

const name = 'cenote-figure1-patch';
const file = `/usr/share/${name}/version`;

export const measurePatch = async (tenants: Tenants, machines: readonly Machine[]): Promise<PatchFigures> => {
  if (!(await installed('dpkg-deb'))) throw new Error('this host has no dpkg');
  const directory = mkdtempSync(join(tmpdir(), 'figure1-patch-'));
  try {
    const [before, after] = [await makePackage(directory, '1.0'), await makePackage(directory, '1.1')];
    await install(before);
    const versions = () => Promise.all(machines.map((machine) => inside(tenants, machine, ['cat', file])));
    const old = await versions();
    if (!old.every((version) => version === '1.0')) throw new Error(`machines see ${[...new Set(old)].join(', ')} before the patch`);
    const patchMs = await timed(() => install(after));
    let seen: string[] = [];
    const seenMs = await timed(async () => (seen = await versions()));
    const rebootAllMs = await timed(async () => {
      for (const machine of machines) {
        demand(await tenants.client.machineReboot(machine.id, {}, { wait: 60 }));
        await untilAnswers(targetOf(machine));
      }
    });
    return { patchMs, seenMs, machines: machines.length, seeIt: seen.filter((version) => version === '1.1').length, rebootAllMs };
  } finally {
    await run('dpkg', ['--purge', '--force-confmiss', name], { timeoutMs: 120_000 }).catch(() => {});
    rmSync(directory, { recursive: true, force: true });
  }
};

const install = (archive: string): Promise<string> => run('dpkg', ['--install', archive], { timeoutMs: 120_000 });

const makePackage = async (directory: string, version: string): Promise<string> => {
  const tree = join(directory, version);
  mkdirSync(join(tree, 'DEBIAN'), { recursive: true });
  mkdirSync(join(tree, 'usr/share', name), { recursive: true });
  const control = { Package: name, Version: version, Architecture: 'all', Maintainer: 'Cenote <root@localhost>', Description: 'a patch to see in machines' };
  writeFileSync(
    join(tree, 'DEBIAN/control'),
    `${Object.entries(control)
      .map((pair) => pair.join(': '))
      .join('\n')}\n`,
  );
  writeFileSync(join(tree, file), version);
  const archive = join(directory, `${version}.deb`);
  await run('dpkg-deb', ['--root-owner-group', '--build', tree, archive]);
  return archive;
};

const inside = async ({ host }: Tenants, machine: Machine, command: string[]): Promise<string> => {
  let text = '';
  const handlers = { onOutput: (_: string, bytes: Buffer) => void (text += bytes.toString()) };
  using control = new ControlClient(instancePaths(host.root).controlSocket);
  using session = await openExec(control.http, machine.id, { command, tty: false, stdin: false }, handlers, new AbortController().signal);
  await session.exit;
  return text.trim();
};
