/** Actions on a machine that there is. Each checks what can be checked now; the host decides the rest when its turn comes. */
import { CenoteError, invalid } from '../../base/errors.ts';
import { checkTags } from '../../dns/tag-check.ts';
import { checkResources } from '../../model/check-resources.ts';
import type { Accepted, ActionOptions, ResizeMachine, UpdateMachine } from '../../model/control-api.ts';
import { commandOf } from '../../model/command.ts';
import { checkMetadataSize, mergeNamed } from '../../model/metadata.ts';
import type { MetadataChange, NamedChange } from '../../model/metadata.ts';
import { checkMachineName, checkSnapshotName } from '../../model/names.ts';
import type { Tags } from '../../model/machine.ts';
import type { Guarantees } from '../../model/resources.ts';
import type { RequestContext } from '../../store/context.ts';
import { machineClaimName, machineClaimPorts } from '../../store/machine.ts';
import type { StoredMachine } from '../../store/machine.ts';
import type { Db } from '../../store/store.ts';
import type { Control } from '../control.ts';
import type { SpecPatch } from '../jobs/request.ts';
import { mergeResources } from '../jobs/request.ts';
import { acceptAction } from './accept.ts';
import { machineMade } from './made.ts';
import { imageFor } from './image-choice.ts';
import { platformFor } from './machine-create.ts';
import { checkPublish } from './publish.ts';
import { admit, asItIs, resourceChange } from './resources.ts';

export const machineStart = (control: Control, context: RequestContext, id: string): Promise<Accepted> =>
  acceptAction(control, context, id, 'start', () => ({}));

export const machineStop = (control: Control, context: RequestContext, id: string, options: ActionOptions): Promise<Accepted> =>
  acceptAction(control, context, id, 'stop', () => options);

export const machineReboot = (control: Control, context: RequestContext, id: string, options: ActionOptions): Promise<Accepted> =>
  acceptAction(control, context, id, 'reboot', () => options);

export const machineDelete = (control: Control, context: RequestContext, id: string): Promise<Accepted> =>
  acceptAction(control, context, id, 'delete', (_db, { machine }) => {
    if (machine.deletionProtection === true)
      throw new CenoteError('wrong_state', `machine ${JSON.stringify(machine.name)} is protected from being deleted`, {
        advice: 'take the protection away first',
      });
    return {};
  });

export const machineTags = (control: Control, context: RequestContext, id: string, change: NamedChange<Tags>): Promise<Accepted> =>
  acceptAction(control, context, id, 'tags', () => {
    if (change.mode !== 'remove') checkTags('tags', change.values);
    return change;
  });

export const machineMetadata = (control: Control, context: RequestContext, id: string, change: MetadataChange): Promise<Accepted> =>
  acceptAction(control, context, id, 'metadata', (_db, { machine }) => {
    checkMetadataSize(mergeNamed(machine.metadata ?? {}, change));
    return change;
  });

export const machineFirewall = (control: Control, context: RequestContext, id: string, enabled: boolean): Promise<Accepted> =>
  acceptAction(control, context, id, 'firewall', () => ({ enabled }));

export const machineProtect = (control: Control, context: RequestContext, id: string, enabled: boolean): Promise<Accepted> =>
  acceptAction(control, context, id, 'protect', () => ({ enabled }));

/** The new name is taken at once and the old one is given back when the host has it too. */
export const machineRename = (control: Control, context: RequestContext, id: string, name: string): Promise<Accepted> => {
  checkMachineName('name', name);
  return acceptAction(control, context, id, 'rename', async (db, { machine }) => {
    await machineClaimName(context, db, machine, name);
    return { name };
  });
};

/** While it is under way, the larger of before and after is set aside of each resource. */
export const machineResize = async (control: Control, context: RequestContext, id: string, asked: ResizeMachine): Promise<Accepted> => {
  if (asked.package === undefined && Object.keys(asked.resources ?? {}).length === 0)
    throw invalid('resources', 'nothing to change: give a package or single numbers');
  const { link, refusals } = control;
  const accept = () =>
    acceptAction(control, context, id, 'resize', async (db, stored) => {
      const change = await resourceChange(context, db, asked);
      const wanted = checkResources(mergeResources(stored.spec.resources, change));
      await admit(context, db, link.host, wanted, stored.reserved);
      stored.reserved = larger(stored.reserved, wanted);
      return change;
    });
  return refusals.recording(context, 'resize', id, () => asItIs(link, accept));
};

const larger = (one: Guarantees, other: Guarantees): Guarantees => ({
  cpuMillis: Math.max(one.cpuMillis, other.cpuMillis),
  memoryMib: Math.max(one.memoryMib, other.memoryMib),
  diskMib: Math.max(one.diskMib, other.diskMib),
  networkMbps: Math.max(one.networkMbps, other.networkMbps),
});

/** `code`: what of `Uploads` is to be its new code. */
export const machineUpdate = async (control: Control, context: RequestContext, id: string, asked: UpdateMachine, code?: string): Promise<Accepted> => {
  if (Object.keys(asked).length === 0 && code === undefined) throw invalid('body', 'nothing to change');
  const current = await machineMade(context, control.store.db, id);
  const patch = await specPatch(control, context, asked, current);
  return acceptAction(control, context, current.machine.id, 'update', async (db: Db, { machine }) => {
    await machineClaimPorts(context, db, machine, patch.publish ?? []);
    return { patch, ...(code === undefined ? {} : { code }) };
  });
};

const specPatch = async (control: Control, context: RequestContext, asked: UpdateMachine, { machine, spec }: StoredMachine): Promise<SpecPatch> => {
  const { image: imageName, platform: platformName, ...rest } = asked;
  const patch: SpecPatch = rest;
  if (asked.publish !== undefined) checkPublish(asked.publish);
  if (asked.tags !== undefined) checkTags('tags', asked.tags);
  let kind: 'app' | 'system' = spec.platform === null ? 'system' : 'app';
  if (imageName !== undefined) {
    const image = await imageFor(control, context, 'image', imageName);
    patch.image = { id: image.id, name: image.name };
    patch.config = image.config;
    kind = image.kind;
    if (kind === 'system') patch.platform = null;
  }
  if (machine.desired === 'running') commandOf({ ...spec, ...patch });
  if (platformName !== undefined || (kind === 'app' && spec.platform === null)) patch.platform = await platformFor(control, kind, platformName);
  return patch;
};

export const snapshotCreate = (control: Control, context: RequestContext, id: string, name: string): Promise<Accepted> => {
  checkSnapshotName('name', name);
  return acceptAction(control, context, id, 'snapshot.create', () => ({ name }));
};

export const snapshotDelete = (control: Control, context: RequestContext, id: string, name: string): Promise<Accepted> => {
  checkSnapshotName('name', name);
  return acceptAction(control, context, id, 'snapshot.delete', () => ({ name }));
};

export const snapshotRollback = (control: Control, context: RequestContext, id: string, name: string): Promise<Accepted> => {
  checkSnapshotName('name', name);
  return acceptAction(control, context, id, 'snapshot.rollback', () => ({ name }));
};
