/** Snapshots: those that the host has, and those that are about to be. */
import { Type } from 'typebox';
import type { Snapshot } from '../../../model/machine.ts';
import { jobListUnfinishedByMachine } from '../../../store/job.ts';
import { machineStart, snapshotCreate, snapshotDelete, snapshotRollback } from '../../app/machine-change.ts';
import type { JobRequests } from '../../jobs/request.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { duplicate, notFound } from '../refusal.ts';
import { machineOf } from './machine.ts';

const none = Type.Object({});

const WireSnapshot = Type.Object({
  name: Type.String(),
  state: Type.Enum(['queued', 'created']),
  size: Type.Optional(Type.Integer({ description: 'bytes that only it holds' })),
  created: Type.String(),
  updated: Type.String(),
});

const snapshotWire = ({ name, createdAt, sizeMib }: Snapshot) => ({
  name,
  state: 'created' as const,
  size: Math.round(sizeMib * 1024 * 1024),
  created: createdAt,
  updated: createdAt,
});

const queuedWire = (name: string, at: string) => ({ name, state: 'queued' as const, created: at, updated: at });

const snapshotsOf = async ({ control, context }: Call, machine: string) => {
  const pending = await jobListUnfinishedByMachine(context, control.store.db, machine);
  const made = (await control.agent.snapshotList(machine)).map(snapshotWire);
  const queued = pending
    .filter(({ job }) => job.action === 'snapshot.create')
    .map(({ job, request }) => queuedWire((request as JobRequests['snapshot.create']).name, job.createdAt));
  return [...made, ...queued.filter(({ name }) => made.every((one) => one.name !== name))];
};

/** `20260102T030405Z` */
const nameOfNow = (): string => new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');

export const snapshotEndpoints = [
  endpoint({
    name: 'ListMachineSnapshots',
    method: 'GET',
    path: '/:account/machines/:machine/snapshots',
    parameters: none,
    answer: Type.Array(WireSnapshot),
    handle: async (call) => ({ body: await snapshotsOf(call, (await machineOf(call)).id) }),
  }),
  endpoint({
    name: 'CreateMachineSnapshot',
    method: 'POST',
    path: '/:account/machines/:machine/snapshots',
    status: 201,
    parameters: Type.Object({ name: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })) }),
    answer: WireSnapshot,
    handle: async (call) => {
      const { id } = await machineOf(call);
      const name = call.parameters.name ?? nameOfNow();
      // The host would say it too, but after the answer, and who waits for the new one would take the old one for it.
      if ((await snapshotsOf(call, id)).some((one) => one.name === name)) throw duplicate('name', `there is a snapshot ${name} already`);
      const { job } = await snapshotCreate(call.control, call.context, id, name);
      return { body: queuedWire(name, job.createdAt), headers: { location: `/${call.account.name}/machines/${id}/snapshots/${name}` } };
    },
  }),
  endpoint({
    name: 'GetMachineSnapshot',
    method: 'GET',
    path: '/:account/machines/:machine/snapshots/:name',
    parameters: none,
    answer: WireSnapshot,
    handle: async (call) => ({ body: await snapshotOf(call, (await machineOf(call)).id) }),
  }),
  endpoint({
    name: 'StartMachineFromSnapshot',
    method: 'POST',
    path: '/:account/machines/:machine/snapshots/:name',
    status: 202,
    parameters: none,
    // Its clients say once more what the path says.
    prefixes: [''],
    answer: null,
    handle: async (call) => {
      const { id } = await machineOf(call);
      const { name } = await snapshotOf(call, id);
      await snapshotRollback(call.control, call.context, id, name);
      await machineStart(call.control, call.context, id);
      return {};
    },
  }),
  endpoint({
    name: 'DeleteMachineSnapshot',
    method: 'DELETE',
    path: '/:account/machines/:machine/snapshots/:name',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id } = await machineOf(call);
      const { name } = await snapshotOf(call, id);
      await snapshotDelete(call.control, call.context, id, name);
      return {};
    },
  }),
];

const snapshotOf = async (call: Call, machine: string) => {
  const found = (await snapshotsOf(call, machine)).find(({ name }) => name === call.path['name']);
  if (found === undefined) throw notFound('snapshot');
  return found;
};
