/** Access keys, of the account and of its users: the same five endpoints for each. */
import { Type } from 'typebox';
import { AccessKeyWish } from '../../../model/access-key.ts';
import { accessKeyCreate, accessKeyDelete, accessKeyList, accessKeyShow, accessKeyUpdate } from '../../app/access-key.ts';
import type { Call, Endpoint } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { accessKeyWire, madeAccessKeyWire, Status, WireAccessKey, WireMadeAccessKey } from '../wire/access-key.ts';

const none = Type.Object({});
const Wish = Type.Object({ status: Type.Optional(Status), description: AccessKeyWish.properties.description });

const wishOf = ({ status, description }: { status?: 'Active' | 'Inactive'; description?: string }): AccessKeyWish => ({
  ...(status === undefined ? {} : { active: status === 'Active' }),
  ...(description === undefined ? {} : { description }),
});

const holderOf = ({ account, path }: Pick<Call, 'account' | 'path'>) => ({ account: account.id, user: path['user'] });
const idOf = ({ path }: Pick<Call, 'path'>): string => path['accesskeyid']!;

/** `of`: the path of whoever holds them; `noun`: what CloudAPI calls them. */
const endpointsOf = (of: string, noun: string): Endpoint[] => [
  endpoint({
    name: `List${noun}s`,
    method: 'GET',
    path: `${of}/accesskeys`,
    parameters: none,
    answer: Type.Array(WireAccessKey),
    handle: async (call) => ({ body: (await accessKeyList(call.control, call.context, holderOf(call))).map(accessKeyWire) }),
  }),
  endpoint({
    name: `Create${noun}`,
    method: 'POST',
    path: `${of}/accesskeys`,
    status: 201,
    parameters: Wish,
    answer: WireMadeAccessKey,
    handle: async (call) => {
      const { user } = call.path;
      const made = await accessKeyCreate(call.control, call.context, holderOf(call), wishOf(call.parameters));
      const location = `/${call.account.name}${user === undefined ? '' : `/users/${encodeURIComponent(user)}`}/accesskeys/${made.id}`;
      return { body: madeAccessKeyWire(made), headers: { location } };
    },
  }),
  endpoint({
    name: `Get${noun}`,
    method: 'GET',
    path: `${of}/accesskeys/:accesskeyid`,
    parameters: none,
    answer: WireAccessKey,
    handle: async (call) => ({ body: accessKeyWire(await accessKeyShow(call.control, call.context, holderOf(call), idOf(call))) }),
  }),
  endpoint({
    name: `Update${noun}`,
    method: 'POST',
    path: `${of}/accesskeys/:accesskeyid`,
    parameters: Wish,
    answer: WireAccessKey,
    handle: async (call) => ({
      body: accessKeyWire(await accessKeyUpdate(call.control, call.context, holderOf(call), idOf(call), wishOf(call.parameters))),
    }),
  }),
  endpoint({
    name: `Delete${noun}`,
    method: 'DELETE',
    path: `${of}/accesskeys/:accesskeyid`,
    parameters: none,
    answer: null,
    handle: async (call) => {
      await accessKeyDelete(call.control, call.context, holderOf(call), idOf(call));
      return {};
    },
  }),
];

export const accessKeyEndpoints = [...endpointsOf('/:account', 'AccessKey'), ...endpointsOf('/:account/users/:user', 'UserAccessKey')];
