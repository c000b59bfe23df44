/** Tags. The answer to a change is what the machine has when it is done. */
import { Type } from 'typebox';
import type { Accepted, Machine } from '../../../model/control-api.ts';
import { TagValue, Tags } from '../../../model/machine.ts';
import { machineTags } from '../../app/machine-change.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { notFound, Refusal } from '../refusal.ts';
import { tagsOf } from '../wire/named.ts';
import { machineOf } from './machine.ts';

const none = Type.Object({});
const any = [''];
const doneWithinMs = 20_000;

/** The machine once the change has been made; as it is, where that takes long. */
export const whenDone = async ({ control }: Pick<Call, 'control'>, accepted: Accepted): Promise<Machine> => {
  const finished = await control.jobs.waitFor(accepted.job.id, doneWithinMs, new AbortController().signal);
  if (finished?.job.state === 'failed') throw new Refusal(409, 'InvalidState', finished.job.reason ?? 'it failed');
  return finished?.machine ?? accepted.machine!;
};

const change = async (call: Call, mode: 'merge' | 'replace') => {
  const values = tagsOf('', Object.entries(call.body));
  const { id } = await machineOf(call);
  const accepted = await machineTags(call.control, call.context, id, { mode, values });
  const { tags } = await whenDone(call, accepted);
  return { body: tags, headers: { 'x-job-uuid': accepted.job.id } };
};

export const tagEndpoints = [
  endpoint({
    name: 'ListMachineTags',
    method: 'GET',
    path: '/:account/machines/:machine/tags',
    parameters: none,
    answer: Tags,
    handle: async (call) => ({ body: (await machineOf(call)).tags }),
  }),
  endpoint({
    name: 'AddMachineTags',
    method: 'POST',
    path: '/:account/machines/:machine/tags',
    parameters: none,
    prefixes: any,
    answer: Tags,
    handle: (call) => change(call, 'merge'),
  }),
  endpoint({
    name: 'ReplaceMachineTags',
    method: 'PUT',
    path: '/:account/machines/:machine/tags',
    parameters: none,
    prefixes: any,
    answer: Tags,
    handle: (call) => change(call, 'replace'),
  }),
  endpoint({
    name: 'DeleteMachineTags',
    method: 'DELETE',
    path: '/:account/machines/:machine/tags',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id } = await machineOf(call);
      const accepted = await machineTags(call.control, call.context, id, { mode: 'replace', values: {} });
      await whenDone(call, accepted);
      return { headers: { 'x-job-uuid': accepted.job.id } };
    },
  }),
  endpoint({
    name: 'GetMachineTag',
    method: 'GET',
    path: '/:account/machines/:machine/tags/:tag',
    parameters: none,
    answer: TagValue,
    handle: async (call) => {
      const { tags } = await machineOf(call);
      const name = call.path['tag']!;
      if (!Object.hasOwn(tags, name)) throw notFound(`tag "${name.slice(0, 80)}"`);
      return { body: tags[name] };
    },
  }),
  endpoint({
    name: 'DeleteMachineTag',
    method: 'DELETE',
    path: '/:account/machines/:machine/tags/:tag',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id, tags } = await machineOf(call);
      const name = call.path['tag']!;
      if (!Object.hasOwn(tags, name)) throw notFound(`tag "${name.slice(0, 80)}"`);
      const accepted = await machineTags(call.control, call.context, id, { mode: 'remove', names: [name] });
      await whenDone(call, accepted);
      return { headers: { 'x-job-uuid': accepted.job.id } };
    },
  }),
];
