/** NICs of a machine: they come and go while it runs, and are there or gone when the answer is given. */
import { Type } from 'typebox';
import { CenoteError } from '../../../base/errors.ts';
import type { Accepted } from '../../../model/control-api.ts';
import { machineNicAdd, machineNicRemove } from '../../app/nics.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { invalidArgument, notFound, Refusal } from '../refusal.ts';
import { nicsWire, WireNic } from '../wire/network.ts';
import { machineOf, viewOf } from './machine.ts';
import { wishOf, WireNicWish } from './nic-wish.ts';

const none = Type.Object({});
const pageLimit = 1000;
/** A NIC takes milliseconds; one that is not there by then waits for the host. */
const waitMs = 10_000;

const nicsOfMachine = async (call: Call<unknown>) => nicsWire(await machineOf(call), (await viewOf(call)).places);

const ended = async ({ control, context }: Pick<Call, 'control' | 'context'>, { job }: Accepted): Promise<void> => {
  const finished = await control.jobs.waitFor(job.id, waitMs, new AbortController().signal);
  if (finished?.job.state === 'failed' && finished.job.account === context.account)
    throw CenoteError.fromBody((finished.job.result as { error: Parameters<typeof CenoteError.fromBody>[0] }).error);
};

const bare = (mac: string): string => mac.toLowerCase().replaceAll(':', '');

export const nicEndpoints = [
  endpoint({
    name: 'ListNics',
    method: 'GET',
    path: '/:account/machines/:machine/nics',
    parameters: none,
    answer: Type.Array(WireNic),
    handle: async (call) => {
      const body = await nicsOfMachine(call);
      return { body, headers: { 'x-query-limit': String(pageLimit), 'x-resource-count': String(body.length) } };
    },
  }),
  endpoint({
    name: 'GetNic',
    method: 'GET',
    path: '/:account/machines/:machine/nics/:mac',
    parameters: none,
    answer: WireNic,
    handle: async (call) => {
      const body = (await nicsOfMachine(call)).find(({ mac }) => bare(mac) === bare(call.path['mac']!));
      if (body === undefined) throw notFound('NIC');
      return { body };
    },
  }),
  endpoint({
    name: 'AddNic',
    method: 'POST',
    path: '/:account/machines/:machine/nics',
    status: 201,
    parameters: Type.Object({ network: WireNicWish, primary: Type.Optional(Type.Boolean()) }),
    answer: WireNic,
    handle: async (call) => {
      const { id } = await machineOf(call);
      const { network, primary } = call.parameters;
      const wish = wishOf(network);
      const location = (mac: string) => ({ location: `/${call.account.name}/machines/${id}/nics/${bare(mac)}` });
      const had = await nicsOfMachine(call);
      const there = had.find((nic) => nic.network === wish.network);
      if (there !== undefined) return { status: 302, headers: location(there.mac) };
      await ended(call, await machineNicAdd(call.control, call.context, id, { ...wish, ...(primary === undefined ? {} : { primary }) }));
      // Of a pool it is on one of the networks.
      const body = (await nicsOfMachine(call)).find((nic) => !had.some(({ mac }) => mac === nic.mac));
      if (body === undefined)
        throw new Refusal(503, 'ServiceUnavailable', 'the NIC is not there yet: the host cannot be reached', { headers: { 'retry-after': '5' } });
      return { body, headers: location(body.mac) };
    },
  }),
  endpoint({
    name: 'RemoveNic',
    method: 'DELETE',
    path: '/:account/machines/:machine/nics/:mac',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id } = await machineOf(call);
      if (!/^([0-9a-f]{2}:?){6}$/i.test(call.path['mac']!)) throw invalidArgument('mac', 'is not a MAC');
      await ended(call, await machineNicRemove(call.control, call.context, id, call.path['mac']!));
      return {};
    },
  }),
];
