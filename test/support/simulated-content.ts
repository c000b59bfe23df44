/** What a simulated host has from the start, and the status of a machine on it. */
import { nicsOf, placesOfNics } from '../../src/model/nics.ts';
import { asCenoteError } from '../../src/base/errors.ts';
import type { ResizeOutcome } from '../../src/model/agent-api.ts';
import type { Image, Platform } from '../../src/model/image.ts';
import type { MachineSpec, MachineStatus, Snapshot } from '../../src/model/machine.ts';

/** A machine on it. */
export interface Held {
  status: MachineStatus;
  snapshots: Map<string, Snapshot>;
}

export const baseImage: Image = {
  id: '11111111-1111-4111-8111-111111111111',
  name: 'base',
  kind: 'app',
  config: { Cmd: ['/bin/sleep', 'infinity'] },
  sizeMib: 1,
  createdAt: '2026-01-01T00:00:00.000Z',
  builtIn: true,
};
export const systemImage: Image = { ...baseImage, id: '22222222-2222-4222-8222-222222222222', name: 'whole', kind: 'system', builtIn: false };
export const hostPlatform: Platform = { name: 'host', version: 'live', include: [], createdAt: baseImage.createdAt, sizeMib: 0, description: 'simulated' };

export const start = (status: MachineStatus): void => {
  status.state = 'running';
  status.desired = 'running';
  status.startedAt = new Date().toISOString();
};

export const stop = (status: MachineStatus): void => {
  status.state = 'stopped';
  status.desired = 'stopped';
};

export const statusOf = (spec: MachineSpec, generation: number, desired: 'running' | 'stopped'): MachineStatus => ({
  id: spec.id,
  spec,
  generation,
  desired,
  state: desired,
  pid: desired === 'running' ? 4242 : null,
  createdAt: new Date().toISOString(),
  startedAt: desired === 'running' ? new Date().toISOString() : null,
  exit: null,
  error: null,
  restarts: 0,
  health: 'none',
  sequence: 0,
});

/** Of one among several that are asked for together. */
export const outcomeOf = (index: number, change: () => MachineStatus): ResizeOutcome => {
  try {
    return { index, status: change() };
  } catch (error) {
    return { index, error: asCenoteError(error).toBody() };
  }
};

/** Whether two machines have the same name in one account, or the same address on one network. */
export const clash = (one: MachineSpec, other: MachineSpec): boolean =>
  one.id !== other.id &&
  ((one.name === other.name && one.account === other.account) ||
    placesOfNics(nicsOf(one)).some((place) =>
      placesOfNics(nicsOf(other)).some(({ network, address }) => network === place.network && address === place.address),
    ));

/** Of two, the one with the higher version. */
export const later = <T extends { version: number }>(known: T | undefined, told: T): T => (known !== undefined && known.version >= told.version ? known : told);

export const platformsAtFirst = (): Platform[] => [hostPlatform, ...['1', '10', '9'].map((version) => ({ ...hostPlatform, name: 'web', version }))];
