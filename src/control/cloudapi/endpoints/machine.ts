/** Machines: reading, making and deleting them. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { newMachineId, isUuid, shortId } from '../../../base/ids.ts';
import type { Machine } from '../../../model/control-api.ts';
import { deletedMachineFind, deletedMachineList } from '../../../store/deleted-machine.ts';
import { jobListFinishedByMachine } from '../../../store/job.ts';
import { machineListAccount, machineListTexts, machineShown } from '../../../store/machine.ts';
import { networkList } from '../../../store/network.ts';
import { visibleImages } from '../../app/account-image.ts';
import { machineCreate } from '../../app/machine-create.ts';
import { machineDelete } from '../../app/machine-change.ts';
import { demandPlace } from '../affinity.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { invalidArgument, notFound, Refusal } from '../refusal.ts';
import { auditWire, WireAudit } from '../wire/audit.ts';
import { deletedMachineWire, machineWire, statesOf, WireMachine } from '../wire/machine.ts';
import type { MachineView } from '../wire/machine.ts';
import { placesOf } from '../wire/network.ts';
import { metadataOf, tagsOf } from '../wire/named.ts';
import { wishOf, WireNicWish } from './nic-wish.ts';
import { packageRef } from './package.ts';

const pageLimit = 1000;
const auditLimit = 1000;
const text = Type.Optional(Type.String());
const page = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: pageLimit })),
  offset: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000_000 })),
};

type Asking = Pick<Call, 'control' | 'context' | 'path' | 'version' | 'datacenter'>;

export const viewOf = async ({ control, context, datacenter, version }: Omit<Asking, 'path'>): Promise<MachineView> => ({
  places: placesOf(await networkList(context, control.store.db)),
  datacenter,
  version,
});

/** The machine that the path names; of one that is gone, what it was. */
export const machineOf = async (call: Asking): Promise<Machine> => {
  const id = call.path['machine']!;
  const { db } = call.control.store;
  const found = isUuid(id) ? await machineShown(call.context, db, id) : undefined;
  if (found !== undefined) return found;
  const gone = isUuid(id) ? await deletedMachineFind(call.context, db, id) : undefined;
  if (gone === undefined) throw notFound('instance');
  throw new Refusal(410, 'InstanceDeleted', 'the instance was deleted', { body: deletedMachineWire(gone.machine, gone.deletedAt, await viewOf(call)) });
};

/** All that CloudAPI has: no instance is ever in some of them, and a word that is none of them is a mistake. */
const states = ['provisioning', 'ready', 'running', 'stopping', 'stopped', 'offline', 'deleted', 'failed', 'incomplete', 'unknown'] as const;

const listFilters = Type.Object({
  name: text,
  type: text,
  brand: text,
  image: Type.Optional(Type.String({ format: 'uuid' })),
  state: Type.Optional(Type.Enum(states)),
  memory: Type.Optional(Type.Integer()),
  tombstone: Type.Optional(Type.Boolean()),
  docker: Type.Optional(Type.Boolean()),
  credentials: Type.Optional(Type.Boolean()),
  tags: text,
  ...page,
});

const elsewhere = {
  delegate_dataset: Type.Optional(Type.Boolean()),
  encrypted: Type.Optional(Type.Boolean()),
  disks: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 32 })),
  volumes: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 32 })),
};

const createParameters = Type.Object({
  name: text,
  package: Type.String({ minLength: 1, maxLength: 128 }),
  image: Type.String({ minLength: 1, maxLength: 128 }),
  networks: Type.Optional(Type.Array(WireNicWish, { maxItems: 32 })),
  affinity: Type.Optional(Type.Array(Type.String(), { maxItems: 32 })),
  locality: Type.Optional(
    Type.Object({
      strict: Type.Optional(Type.Boolean()),
      near: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 100 })])),
      far: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 100 })])),
    }),
  ),
  firewall_enabled: Type.Optional(Type.Boolean()),
  deletion_protection: Type.Optional(Type.Boolean()),
  allow_shared_images: Type.Optional(Type.Boolean()),
  ...elsewhere,
  brand: text,
});

/** What only hosts of other kinds have. Told as such, and not as words that nobody knows: the documentation has them. */
const demandContainer = ({ brand, delegate_dataset: delegated, encrypted, disks = [], volumes = [] }: Static<typeof createParameters>): void => {
  if (brand !== undefined && brand !== 'lx') throw invalidArgument('brand', 'only lx: there are no virtual machines in this datacenter');
  if (delegated === true) throw invalidArgument('delegate_dataset', 'there are no delegated datasets in this datacenter');
  if (encrypted === true) throw invalidArgument('encrypted', 'there are no encrypted hosts in this datacenter');
  if (disks.length > 0) throw invalidArgument('disks', 'an instance that is a container has no disks of its own: a package says how much it may keep');
  if (volumes.length > 0) throw invalidArgument('volumes', 'there are no shared volumes in this datacenter');
};

export const machineEndpoints = [
  endpoint({
    name: 'ListMachines',
    method: 'GET',
    path: '/:account/machines',
    parameters: listFilters,
    prefixes: ['tag.'],
    answer: Type.Array(WireMachine),
    handle: async (call) => {
      const { control, context, parameters, named } = call;
      const { name, type, brand, image, state, memory, tombstone, docker, limit = pageLimit, offset = 0 } = parameters;
      const view = await viewOf(call);
      const wanted = state === undefined ? undefined : statesOf(state);
      const none = (type ?? 'smartmachine') !== 'smartmachine' || (brand ?? 'lx') !== 'lx' || docker === true || wanted?.length === 0;
      const tags = named('tag.').map(([tag, value]): [string, string] => [tag, String(value)]);
      const rows = none
        ? []
        : await machineListTexts(context, control.store.db, {
            ids: call.visible,
            namePrefix: name,
            states: wanted,
            image,
            memoryMib: memory,
            tags,
            limit,
            offset,
          });
      const gone =
        (tombstone === true || state === 'deleted') && call.visible === undefined && offset === 0 && rows.length < limit
          ? await deletedMachineList(context, control.store.db, limit - rows.length)
          : [];
      const all = [...call.texts.of(rows, view), ...gone.map(({ machine, deletedAt }) => JSON.stringify(deletedMachineWire(machine, deletedAt, view)))];
      return { text: `[${all.join(',')}]`, headers: { 'x-query-limit': String(limit), 'x-resource-count': String(all.length) } };
    },
  }),
  endpoint({
    name: 'CreateMachine',
    method: 'POST',
    path: '/:account/machines',
    status: 201,
    parameters: createParameters,
    prefixes: ['tag.', 'metadata.'],
    answer: WireMachine,
    handle: async (call) => {
      const { control, context, account, parameters, named } = call;
      const { image, networks, firewall_enabled: firewallEnabled, deletion_protection: deletionProtection } = parameters;
      demandContainer(parameters);
      const found = await packageRef(call, parameters.package);
      if (found === undefined) throw invalidArgument('package', `there is no package ${parameters.package.slice(0, 80)}`);
      const source = (await visibleImages(control, context)).find((one) => one.id === image);
      if (source?.state !== 'active') throw invalidArgument('image', `there is no image ${image.slice(0, 80)}`);
      if (source.shared && parameters.allow_shared_images !== true)
        throw invalidArgument('image', "is another account's, shared with yours: say so with allow_shared_images");
      if (parameters.affinity !== undefined || parameters.locality !== undefined)
        demandPlace(await machineListAccount(context, control.store.db), parameters.affinity ?? [], parameters.locality);
      const id = newMachineId();
      // Filled in from the account's keys, whatever a client says.
      const { root_authorized_keys: _filled, ...metadata } = metadataOf('metadata.', named('metadata.'));
      const { machine } = await machineCreate(
        control,
        context,
        {
          name: (parameters.name ?? shortId(id)).replaceAll('{{shortId}}', shortId(id)),
          image,
          package: found,
          tags: tagsOf('tag.', named('tag.')),
          metadata,
          ...(networks === undefined || networks.length === 0 ? {} : { networks: networks.map(wishOf) }),
          ...(firewallEnabled === undefined ? {} : { firewallEnabled }),
          ...(deletionProtection === undefined ? {} : { deletionProtection }),
        },
        id,
      );
      return { body: machineWire(machine!, await viewOf(call)), headers: { location: `/${account.name}/machines/${id}` } };
    },
  }),
  endpoint({
    name: 'GetMachine',
    method: 'GET',
    path: '/:account/machines/:machine',
    parameters: Type.Object({ credentials: Type.Optional(Type.Boolean()) }),
    answer: WireMachine,
    handle: async (call) => {
      const machine = await machineOf(call);
      const { namesEnabled } = call.account;
      return { body: { ...machineWire(machine, await viewOf(call)), ...(namesEnabled ? { dns_names: call.control.names.of(machine) } : {}) } };
    },
  }),
  endpoint({
    name: 'DeleteMachine',
    method: 'DELETE',
    path: '/:account/machines/:machine',
    parameters: Type.Object({}),
    answer: null,
    handle: async (call) => {
      const { id, deletionProtection } = await machineOf(call);
      if (deletionProtection === true) throw new Refusal(409, 'CannotDestroyMachineError', 'Instance has "deletion_protection" enabled, preventing deletion');
      await machineDelete(call.control, call.context, id);
      return {};
    },
  }),
  endpoint({
    name: 'MachineAudit',
    method: 'GET',
    path: '/:account/machines/:machine/audit',
    parameters: Type.Object({}),
    answer: Type.Array(WireAudit),
    handle: async (call) => {
      const id = call.path['machine']!;
      const jobs = isUuid(id) ? await jobListFinishedByMachine(call.context, call.control.store.db, id, auditLimit) : [];
      if (jobs.length === 0) await machineOf(call);
      return { body: jobs.map(auditWire) };
    },
  }),
];
