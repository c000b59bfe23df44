/** Metadata: what a machine is told from outside. */
import { Type } from 'typebox';
import { Metadata } from '../../../model/machine.ts';
import { machineMetadata } from '../../app/machine-change.ts';
import { endpoint } from '../endpoint.ts';
import { notFound, Refusal } from '../refusal.ts';
import { metadataOf } from '../wire/named.ts';
import { machineOf } from './machine.ts';
import { whenDone } from './tag.ts';

const none = Type.Object({});
/** They are made by the datacenter, and come back. */
const kept: readonly string[] = ['root_authorized_keys', 'administrator_pw', 'credentials'];

export const metadataEndpoints = [
  endpoint({
    name: 'ListMachineMetadata',
    method: 'GET',
    path: '/:account/machines/:machine/metadata',
    parameters: Type.Object({ credentials: Type.Optional(Type.Boolean()) }),
    answer: Metadata,
    handle: async (call) => ({ body: (await machineOf(call)).metadata ?? {} }),
  }),
  endpoint({
    name: 'UpdateMachineMetadata',
    method: 'POST',
    path: '/:account/machines/:machine/metadata',
    parameters: none,
    prefixes: [''],
    answer: Metadata,
    handle: async (call) => {
      const values = metadataOf('', Object.entries(call.body));
      const { id } = await machineOf(call);
      const accepted = await machineMetadata(call.control, call.context, id, { mode: 'merge', values });
      const { metadata } = await whenDone(call, accepted);
      return { body: metadata ?? {}, headers: { 'x-job-uuid': accepted.job.id } };
    },
  }),
  endpoint({
    name: 'DeleteAllMachineMetadata',
    method: 'DELETE',
    path: '/:account/machines/:machine/metadata',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id, metadata } = await machineOf(call);
      const names = Object.keys(metadata ?? {}).filter((name) => !kept.includes(name));
      const accepted = await machineMetadata(call.control, call.context, id, { mode: 'remove', names });
      await whenDone(call, accepted);
      return { headers: { 'x-job-uuid': accepted.job.id } };
    },
  }),
  endpoint({
    name: 'GetMachineMetadata',
    method: 'GET',
    path: '/:account/machines/:machine/metadata/:key',
    parameters: none,
    answer: Type.String(),
    handle: async (call) => {
      const { metadata = {} } = await machineOf(call);
      const name = call.path['key']!;
      if (!Object.hasOwn(metadata, name)) throw notFound(`metadata key "${name.slice(0, 80)}"`);
      return { body: metadata[name] };
    },
  }),
  endpoint({
    name: 'DeleteMachineMetadata',
    method: 'DELETE',
    path: '/:account/machines/:machine/metadata/:key',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id, metadata = {} } = await machineOf(call);
      const name = call.path['key']!;
      if (!Object.hasOwn(metadata, name)) throw notFound(`metadata key "${name.slice(0, 80)}"`);
      if (kept.includes(name)) throw new Refusal(409, 'InvalidArgument', `${name} cannot be deleted`);
      const accepted = await machineMetadata(call.control, call.context, id, { mode: 'remove', names: [name] });
      await whenDone(call, accepted);
      return { headers: { 'x-job-uuid': accepted.job.id } };
    },
  }),
];
