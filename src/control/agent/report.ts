/** What a host says of a machine, written over what the control plane shows of it. */
import type { MachineStatus } from '../../model/machine.ts';
import type { StoredJob } from '../../store/job.ts';
import type { StoredMachine } from '../../store/machine.ts';

export const applyStatus = (stored: StoredMachine, status: MachineStatus): void => {
  const { machine } = stored;
  const { spec } = status;
  stored.spec = spec;
  machine.name = spec.name;
  machine.image = spec.image;
  machine.platform = spec.platform;
  machine.resources = spec.resources;
  machine.address = spec.address;
  if (spec.nics === undefined) delete machine.nics;
  else machine.nics = spec.nics;
  machine.publish = spec.publish;
  machine.command = spec.command;
  machine.env = spec.env;
  machine.tags = spec.tags;
  if (spec.metadata !== undefined) machine.metadata = spec.metadata;
  if (spec.firewallEnabled !== undefined) machine.firewallEnabled = spec.firewallEnabled;
  if (spec.deletionProtection !== undefined) machine.deletionProtection = spec.deletionProtection;
  machine.restart = spec.restart;
  machine.stopGraceSeconds = spec.stopGraceSeconds;
  machine.state = status.state;
  machine.desired = status.desired;
  machine.startedAt = status.startedAt;
  machine.exit = status.exit;
  machine.error = status.error;
  machine.restarts = status.restarts;
  if (status.restartAt === undefined) delete machine.restartAt;
  else machine.restartAt = status.restartAt;
  machine.health = status.health;
  if (status.healthCheck === undefined) delete machine.healthCheck;
  else machine.healthCheck = status.healthCheck;
  // The host's count is ahead of a store that was restored from an old copy; the next action continues from there.
  machine.generation = Math.max(machine.generation, status.generation);
};

/** Actions accepted and not yet done decide what is wanted, and a machine on its way out shows as such. */
export const applyPending = (stored: StoredMachine, pending: readonly StoredJob[]): void => {
  for (const { job } of pending) {
    if (job.action === 'start' || job.action === 'reboot') stored.machine.desired = 'running';
    if (job.action === 'stop') stored.machine.desired = 'stopped';
    if (job.action === 'delete') stored.machine.state = 'deleting';
  }
};
