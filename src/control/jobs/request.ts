/**
 * What each asynchronous action needs to know, kept with its job. A change is kept as what the person asked for and is merged with the
 * machine's specification when its turn comes, so that actions accepted one after another never undo each other.
 */
import type { ActionOptions } from '../../model/control-api.ts';
import type { DesiredState, MachineSpec, Tags } from '../../model/machine.ts';
import type { MetadataChange, NamedChange } from '../../model/metadata.ts';
import type { Nic } from '../../model/network.ts';
import type { PackageRef, Resources } from '../../model/resources.ts';

export type SpecPatch = Partial<
  Pick<MachineSpec, 'image' | 'platform' | 'config' | 'command' | 'env' | 'tags' | 'firewallEnabled' | 'publish' | 'restart' | 'stopGraceSeconds'>
>;

export interface ResourceChange {
  /** The package's resources replace all; single numbers then replace theirs. */
  package: (PackageRef & { resources: Resources }) | null;
  patch: Partial<Resources>;
}

type None = Record<string, never>;

export interface JobRequests {
  create: { spec: MachineSpec; desired: DesiredState; fromSnapshot: { machine: string; name: string } | null };
  start: None;
  stop: ActionOptions;
  reboot: ActionOptions;
  resize: ResourceChange;
  /** `code`: what `Uploads` calls the tar stream of it. */
  update: { patch: SpecPatch; code?: string };
  tags: NamedChange<Tags>;
  metadata: MetadataChange;
  protect: { enabled: boolean };
  firewall: { enabled: boolean };
  rename: { name: string };
  /** Its id; what the account calls it, and whose it is, is on record already. */
  'image.create': { image: string };
  'nic.add': { nic: Nic };
  'nic.primary': { network: string };
  'nic.remove': { network: string };
  'address.add': { network: string; address: string };
  'address.remove': { network: string; address: string };
  delete: None;
  'snapshot.create': { name: string };
  'snapshot.delete': { name: string };
  'snapshot.rollback': { name: string };
}

export type Action = keyof JobRequests;

export const mergeResources = (current: Resources, change: ResourceChange): Resources => ({ ...(change.package?.resources ?? current), ...change.patch });
