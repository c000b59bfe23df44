/**
 * A new machine: everything it refers to is resolved, then name, ports, address and guarantees are taken and the job made, all at once.
 * One that begins with a snapshot is, where nothing else is asked for, as the snapshot's machine is now; but for what makes a machine this one
 * and no other, or is of one place only: name, tags, published ports, networks and metadata.
 */
import { CenoteError, invalid } from '../../base/errors.ts';
import { newMachineId, shortId } from '../../base/ids.ts';
import type { MachineId } from '../../base/ids.ts';
import type { Accepted, CreateMachine, Machine } from '../../model/control-api.ts';
import type { Image, PlatformRef } from '../../model/image.ts';
import type { MachineSpec } from '../../model/machine.ts';
import { commandOf } from '../../model/command.ts';
import { checkTags } from '../../dns/tag-check.ts';
import { defaultResources } from '../../model/default-resources.ts';
import { checkMetadataSize, userScript } from '../../model/metadata.ts';
import { checkMachineName } from '../../model/names.ts';
import { guaranteesOf, noGuarantees } from '../../model/resources.ts';
import type { PackageRef } from '../../model/resources.ts';
import { authorize } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { jobInsert } from '../../store/job.ts';
import type { StoredJob } from '../../store/job.ts';
import { machineGet, machineInsert } from '../../store/machine.ts';
import type { Db } from '../../store/store.ts';
import type { StoredMachine } from '../../store/machine.ts';
import type { Control } from '../control.ts';
import type { JobRequests } from '../jobs/request.ts';
import { authorizedKeys } from './authorized-keys.ts';
import { namedBy } from './field.ts';
import { newJob } from './accept.ts';
import { imageFor } from './image-choice.ts';
import { checkPublish } from './publish.ts';
import { chooseNics, nicsInSpec } from './nics.ts';
import { admit, asItIs, newResources, resourceChange } from './resources.ts';

type Defaults = Pick<MachineSpec, 'command' | 'env' | 'resources' | 'restart' | 'stopGraceSeconds' | 'metadata' | 'firewallEnabled'>;

const ordinary: Defaults = {
  command: null,
  env: {},
  resources: defaultResources,
  restart: { policy: 'on-failure', maxRetries: 10 },
  stopGraceSeconds: 10,
};

/** `id` where its name is to be made from it. */
export const machineCreate = async (control: Control, context: RequestContext, asked: CreateMachine, id: MachineId = newMachineId()): Promise<Accepted> => {
  authorize(context, 'write');
  checkMetadataSize(asked.metadata ?? {});
  checkTags('tags', asked.tags ?? {});
  const { store, link, jobs, refusals, trace } = control;
  const name = asked.name === undefined ? `machine-${shortId(id)}` : checkMachineName('name', asked.name);
  const publish = checkPublish(asked.publish ?? []);
  const source = asked.fromSnapshot === undefined ? undefined : await sourceOf(control, context, asked.fromSnapshot.machine);
  const content = await contentOf(control, context, asked, source);
  if (source !== undefined) await demandSnapshot(control, source, asked.fromSnapshot!.name);
  const unsaid = source === undefined ? ordinary : defaultsOf(source);
  const command = asked.command ?? unsaid.command;
  const desired = asked.start === false ? 'stopped' : 'running';
  if (desired === 'running') commandOf({ ...content, command });
  const fromSnapshot = asked.fromSnapshot === undefined || source === undefined ? null : { machine: source.machine.id, name: asked.fromSnapshot.name };

  const accept = async (db: Db) => {
    const change = await resourceChange(context, db, asked);
    const resources = newResources(unsaid.resources, change);
    const metadata = checkMetadataSize({ ...(await authorizedKeys(context, db)), ...unsaid.metadata, ...asked.metadata });
    const chosen = await chooseNics(control, context, db, id, asked.networks);
    await admit(context, db, link.host, resources, null);
    const spec: MachineSpec = {
      id,
      account: context.account,
      name,
      ...content,
      command,
      env: asked.env ?? unsaid.env,
      resources,
      address: chosen.address,
      ...nicsInSpec(chosen.nics),
      publish,
      restart: asked.restart ?? unsaid.restart,
      tags: asked.tags ?? {},
      ...extrasOf({ ...firewallOf(unsaid), ...asked, ...(Object.keys(metadata).length === 0 ? {} : { metadata }) }),
      stopGraceSeconds: asked.stopGraceSeconds ?? unsaid.stopGraceSeconds,
    };
    const machine = newMachine(spec, desired, change.package === null ? (source?.machine.package ?? null) : packageRefOf(change.package));
    await machineInsert(context, db, { machine, spec, reserved: guaranteesOf(resources), held: { ...noGuarantees }, addresses: chosen.nics.length });
    await chosen.claim(db);
    const request: JobRequests['create'] = { spec, desired, fromSnapshot };
    const made: StoredJob = { job: newJob(context, 'create', id), generation: 1, request };
    await jobInsert(context, db, made, jobs.lease());
    return { accepted: { job: made.job, machine }, job: made };
  };
  const { accepted, job } = await refusals.recording(context, 'create', name, () => asItIs(link, () => store.transaction(accept)));
  trace('create:accepted');
  control.changes.tell(id);
  jobs.enqueue({ ...job, job: { ...job.job } });
  return accepted;
};

/** Its firewall too: data that was shut in is not laid open by a copy. Of metadata the script that makes it what it is, and no keys or passwords. */
const defaultsOf = ({ spec }: StoredMachine): Defaults => {
  const { command, env, resources, restart, stopGraceSeconds } = spec;
  const script = spec.metadata?.[userScript];
  return { command, env, resources, restart, stopGraceSeconds, ...(script === undefined ? {} : { metadata: { [userScript]: script } }), ...firewallOf(spec) };
};

const firewallOf = ({ firewallEnabled }: Pick<MachineSpec, 'firewallEnabled'>) => (firewallEnabled === undefined ? {} : { firewallEnabled });

const packageRefOf = ({ name, version }: PackageRef): PackageRef => ({ name, version });

type Extras = Pick<MachineSpec, 'metadata' | 'firewallEnabled' | 'deletionProtection'>;

/** What only some machines have; absent where it was not asked for. */
const extrasOf = ({ metadata, firewallEnabled, deletionProtection }: Extras): Extras => ({
  ...(metadata === undefined ? {} : { metadata }),
  ...(firewallEnabled === undefined ? {} : { firewallEnabled }),
  ...(deletionProtection === undefined ? {} : { deletionProtection }),
});

const demandSnapshot = async ({ agent }: Control, { machine }: StoredMachine, name: string): Promise<void> => {
  if ((await agent.snapshotNames(machine.id)).includes(name)) return;
  throw invalid('fromSnapshot.name', `${machine.name} has no snapshot "${name}"`, `see what there is: cenote snapshot ls ${machine.name}`);
};

const sourceOf = (control: Control, context: RequestContext, idOrName: string): Promise<StoredMachine> =>
  namedBy('fromSnapshot.machine', async () => {
    const source = await machineGet(context, control.store.db, idOrName);
    if (context.visible?.has(source.machine.id) !== false) return source;
    throw new CenoteError('not_found', `there is no machine ${JSON.stringify(idOrName.slice(0, 80))}`);
  });

type Content = Pick<MachineSpec, 'image' | 'platform' | 'config'>;

/** A snapshot is data on top of an image, so a machine made from one has that image. */
const contentOf = async (control: Control, context: RequestContext, asked: CreateMachine, source: StoredMachine | undefined): Promise<Content> => {
  if (source === undefined) {
    const image = await imageFor(control, context, 'image', asked.image ?? 'base');
    return { image: { id: image.id, name: image.name }, platform: await platformFor(control, image.kind, asked.platform), config: image.config };
  }
  const { image, platform, config } = source.spec;
  if (asked.image !== undefined && asked.image !== image.id && asked.image !== image.name) {
    throw invalid('image', `a machine made from a snapshot has its image, ${image.name}`);
  }
  return {
    image,
    platform: asked.platform === undefined ? platform : await platformFor(control, platform === null ? 'system' : 'app', asked.platform),
    config,
  };
};

export const platformFor = async (control: Control, kind: Image['kind'], asked: string | undefined): Promise<PlatformRef | null> => {
  if (kind === 'app') return control.catalog.platform('platform', asked ?? 'host');
  if (asked !== undefined) throw invalid('platform', 'the image has a userland of its own and runs on no platform');
  return null;
};

const newMachine = (spec: MachineSpec, desired: Machine['desired'], taken: PackageRef | null): Machine => ({
  id: spec.id,
  name: spec.name,
  account: spec.account,
  state: 'provisioning',
  desired,
  image: spec.image,
  platform: spec.platform,
  package: taken,
  resources: spec.resources,
  address: spec.address,
  ...(spec.nics === undefined ? {} : { nics: spec.nics }),
  publish: spec.publish,
  command: spec.command,
  env: spec.env,
  tags: spec.tags,
  ...extrasOf(spec),
  restart: spec.restart,
  stopGraceSeconds: spec.stopGraceSeconds,
  createdAt: new Date().toISOString(),
  startedAt: null,
  exit: null,
  error: null,
  restarts: 0,
  health: 'none',
  generation: 1,
});
