/** The account's own SSH keys. */
import { Type } from 'typebox';
import { CreateKey } from '../../../model/account.ts';
import { keyDelete, keyGet, keyList } from '../../../store/key.ts';
import { keyAdd } from '../../app/account.ts';
import { endpoint } from '../endpoint.ts';
import { keyWire, WireKey } from '../wire/account.ts';

const none = Type.Object({});

export const keyEndpoints = [
  endpoint({
    name: 'ListKeys',
    method: 'GET',
    path: '/:account/keys',
    parameters: none,
    answer: Type.Array(WireKey),
    handle: async ({ control, context, account }) => ({ body: (await keyList(context, control.store.db, account.id)).map(keyWire) }),
  }),
  endpoint({
    name: 'CreateKey',
    method: 'POST',
    path: '/:account/keys',
    status: 201,
    parameters: Type.Object(CreateKey.properties),
    answer: WireKey,
    handle: async ({ control, context, account, parameters }) => {
      const key = await keyAdd(control, context, account.id, parameters);
      return { body: keyWire(key), headers: { location: `/${account.name}/keys/${encodeURIComponent(key.name)}` } };
    },
  }),
  endpoint({
    name: 'GetKey',
    method: 'GET',
    path: '/:account/keys/:key',
    parameters: none,
    answer: WireKey,
    handle: async ({ control, context, account, path }) => ({ body: keyWire(await keyGet(context, control.store.db, account.id, path['key']!)) }),
  }),
  endpoint({
    name: 'DeleteKey',
    method: 'DELETE',
    path: '/:account/keys/:key',
    parameters: none,
    answer: null,
    handle: async ({ control, context, account, path }) => {
      await control.store.transaction((db) => keyDelete(context, db, account.id, path['key']!));
      return {};
    },
  }),
];
