/**
 * One call of the agent for each action. Every call may be repeated: an equal generation gets the first one's outcome, and the snapshot
 * actions, which carry none, recognise their own earlier work.
 */
import { CenoteError } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import type { MachineSpec, MachineStatus } from '../../model/machine.ts';
import { nicsOf, placesOfNics, withMore, withNic, withPrimary } from '../../model/nics.ts';
import type { Nic } from '../../model/network.ts';
import type { StoredMachine } from '../../store/machine.ts';
import { mergeNamed } from '../../model/metadata.ts';
import { imageRequestOf } from './image-content.ts';
import { mergeResources } from './request.ts';
import type { Action, JobRequests } from './request.ts';
import type { Uploads } from './uploads.ts';

export interface Execution<A extends Action> {
  agent: AgentClient;
  stored: StoredMachine;
  generation: number;
  request: JobRequests[A];
  createdAt: string;
  uploads: Uploads;
  /** It may have been done before, and its answer lost. */
  repeat: boolean;
  signal: AbortSignal;
}

/** What the host then says of the machine, or that it is gone; and the action's own answer. */
export interface Outcome {
  status?: MachineStatus;
  deleted?: true;
  result?: Record<string, unknown>;
}

type Executors = { [A in Action]: (execution: Execution<A>) => Promise<Outcome> };

const executors: Executors = {
  create: async ({ agent, stored, generation, request, signal }) => {
    if (stored.addresses < placesOfNics(nicsOf(request.spec)).length)
      throw new CenoteError('in_use', `its address ${request.spec.address} belongs to another machine found on the host`);
    const { spec, desired, fromSnapshot } = request;
    return { status: await agent.machineCreate(spec.id, { generation, spec, desired, ...(fromSnapshot === null ? {} : { fromSnapshot }) }, { signal }) };
  },
  start: async (execution) => ({ status: await start(execution) }),
  stop: async ({ agent, stored, generation, request, signal }) => ({
    status: await agent.machineStop(stored.spec.id, { generation, ...request }, { signal }),
  }),
  reboot: async ({ agent, stored, generation, request, signal }) => ({
    status: await agent.machineRestart(stored.spec.id, { generation, ...request }, { signal }),
  }),
  resize: async ({ agent, stored, generation, request, signal }) => ({
    status: await agent.machineResize(stored.spec.id, { generation, resources: mergeResources(stored.spec.resources, request) }, { signal }),
  }),
  update: async ({ agent, stored, generation, request: { patch, code }, uploads, signal }) => {
    const asked = { generation, spec: { ...stored.spec, ...patch } };
    const { id } = stored.spec;
    const status = await (code === undefined
      ? agent.machineUpdate(id, asked, { signal })
      : agent.machineUpdateWithCode(id, asked, uploads.take(code), { signal }));
    const conflicts = patch.platform === undefined && patch.image === undefined ? [] : (status.etcConflicts ?? []);
    return { status, result: { conflicts } };
  },
  tags: (execution) => change(execution, { tags: mergeNamed(execution.stored.spec.tags, execution.request) }),
  // Merged on the host, where the machine itself may have changed it meanwhile.
  metadata: async ({ agent, stored, generation, request, signal }) => ({
    status: await agent.machineUpdate(stored.spec.id, { generation, spec: stored.spec, metadata: request }, { signal }),
  }),
  protect: (execution) => change(execution, { deletionProtection: execution.request.enabled }),
  firewall: (execution) => change(execution, { firewallEnabled: execution.request.enabled }),
  'nic.add': (execution) => {
    const { nic } = execution.request;
    return change(execution, placed(withNic(nicsOf(execution.stored.spec), nic)));
  },
  'nic.primary': (execution) => change(execution, placed(withPrimary(nicsOf(execution.stored.spec), execution.request.network))),
  'nic.remove': (execution) => {
    const { network } = execution.request;
    return change(execution, placed(nicsOf(execution.stored.spec).filter((nic) => nic.network !== network)));
  },
  'address.add': (execution) =>
    change(
      execution,
      withMoreOf(execution, (more, address) => [...more.filter((one) => one !== address), address]),
    ),
  'address.remove': (execution) =>
    change(
      execution,
      withMoreOf(execution, (more, address) => more.filter((one) => one !== address)),
    ),
  rename: async ({ agent, stored, generation, request, signal }) => ({
    status: await agent.machineRename(stored.spec.id, { generation, name: request.name }, { signal }),
  }),
  delete: async ({ agent, stored, generation, signal }) => {
    await agent.machineDelete(stored.spec.id, generation, { signal });
    return { deleted: true };
  },
  // An equal id gets the first one's outcome; while that is still being made, or taken back, it is asked for again.
  'image.create': async ({ agent, stored, request, repeat, signal }) => {
    try {
      await agent.imageCreate(imageRequestOf(request.image, stored.spec), undefined, { signal });
    } catch (error) {
      if (!repeat || !(error instanceof CenoteError) || error.code !== 'already_exists') throw error;
      throw new CenoteError('unavailable', error.message, { cause: error, retryable: true });
    }
    return { result: { image: request.image } };
  },
  'snapshot.create': async (execution) => ({ result: { ...(await snapshotCreate(execution)) } }),
  'snapshot.delete': async ({ agent, stored, request, repeat, signal }) => {
    try {
      await agent.snapshotDelete(stored.spec.id, request.name, { signal });
    } catch (error) {
      if (!repeat || !(error instanceof CenoteError) || error.code !== 'not_found') throw error;
    }
    return { result: { name: request.name } };
  },
  'snapshot.rollback': async ({ agent, stored, generation, request, signal }) => ({
    status: await agent.snapshotRollback(stored.spec.id, request.name, generation, { signal }),
    result: { name: request.name },
  }),
};

const placed = (nics: Nic[]): Pick<MachineSpec, 'nics' | 'address'> => {
  const primary = nics.find((nic) => nic.primary);
  if (primary === undefined) throw new CenoteError('wrong_state', 'a machine has a primary NIC at any time');
  return { nics, address: primary.address };
};

const withMoreOf = (
  { stored, request: { network, address } }: Execution<'address.add' | 'address.remove'>,
  change: (more: readonly string[], address: string) => string[],
) => placed(withMore(nicsOf(stored.spec), network, (more) => change(more, address)));

/** What a machine runs on with. */
const change = async <A extends Action>({ agent, stored, generation, signal }: Execution<A>, patch: Partial<MachineSpec>): Promise<Outcome> => ({
  status: await agent.machineUpdate(stored.spec.id, { generation, spec: { ...stored.spec, ...patch } }, { signal }),
});

/** A host that has lost its journal knows no machine, but has its data: asked for, it goes on with that, under the specification kept here. */
const start = async ({ agent, stored, generation, signal }: Execution<'start'>): Promise<MachineStatus> => {
  const spec = { ...stored.spec, publish: stored.machine.publish };
  try {
    return await agent.machineStart(spec.id, { generation }, { signal });
  } catch (error) {
    if (!(error instanceof CenoteError) || error.code !== 'not_found' || stored.addresses < placesOfNics(nicsOf(spec)).length) throw error;
    return agent.machineCreate(spec.id, { generation, spec, desired: 'running', adopt: true }, { signal });
  }
};

const snapshotCreate = async ({ agent, stored, request, repeat, createdAt, signal }: Execution<'snapshot.create'>) => {
  try {
    return await agent.snapshotCreate(stored.spec.id, { name: request.name }, { signal });
  } catch (error) {
    if (!repeat || !(error instanceof CenoteError) || error.code !== 'already_exists') throw error;
    const own = (await agent.snapshotList(stored.spec.id, { signal })).find((snapshot) => snapshot.name === request.name);
    if (own === undefined || Date.parse(own.createdAt) < Date.parse(createdAt)) throw error;
    return own;
  }
};

export const execute = <A extends Action>(action: A, execution: Execution<A>): Promise<Outcome> => executors[action](execution);
export const isAction = (text: string): text is Action => Object.hasOwn(executors, text);
