/**
 * The group that all machines of an instance live in, together with one for their monitors. Where systemd is in charge, that is the group
 * of a unit which exists for nothing else and is handed to us (`Delegate=yes`): all below it is ours, but what it has itself systemd
 * writes, at any time, and must be asked to. Elsewhere it is a group of our own at the top of each hierarchy.
 */
import { runAny } from '../../exec/run.ts';
import { systemdRuns } from '../init/systemd.ts';
import { childGroups } from './files.ts';
import { detectLayout, treesOf } from './layout.ts';

export interface ParentGroup {
  /** Absolute, from the root of each hierarchy. */
  path: string;
  /** The unit it belongs to, where systemd has it. */
  unit: string | null;
}

/** Beside the machines, whose names are UUIDs. */
export const monitorsName = 'monitors';
/** Where the one process goes that a unit must have: with v2 a group that has groups with controllers may hold none itself. */
export const keeperName = 'keeper';

export const isMachine = (name: string): boolean => name !== monitorsName && name !== keeperName;

export const machinesUnit = (instance: string): string => `cenote-${instance}-machines.service`;
export const ownGroup = (instance: string): string => `/cenote-${instance}`;
/** Where machines may be, whoever has made the group. The unit's is directly below the root (see setup/units.ts). */
export const parentPaths = (instance: string): string[] => [ownGroup(instance), `/${machinesUnit(instance)}`];

export const findParent = async (instance: string): Promise<ParentGroup> => {
  const own: ParentGroup = { path: ownGroup(instance), unit: null };
  // Processes do not move: machines that run in a group of our own, from before systemd had it, stay there until they have ended.
  const occupied = treesOf(detectLayout()).some((tree) => childGroups(`${tree}${own.path}`).some(isMachine));
  if (occupied || !systemdRuns()) return own;
  const unit = machinesUnit(instance);
  const { stdout } = await runAny('systemctl', ['show', '--property=ControlGroup', '--value', unit]);
  const path = stdout.trim();
  return path === '' ? own : { path, unit };
};

/** The one that machines are in, and which, for who asks while no agent runs; null when there are none. */
export const occupiedParent = (instance: string): { path: string; machines: string[] } | null => {
  const { v1, unified } = detectLayout();
  const tree = v1.get('memory') ?? unified ?? '';
  const found = parentPaths(instance).map((path) => ({ path, machines: childGroups(`${tree}${path}`).filter(isMachine) }));
  return found.find(({ machines }) => machines.length > 0) ?? null;
};
