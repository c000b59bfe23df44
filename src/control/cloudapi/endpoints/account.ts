/** The account itself. */
import { Type } from 'typebox';
import { AccountProfile } from '../../../model/account.ts';
import { accountGet, accountSetProfile } from '../../../store/account.ts';
import { endpoint } from '../endpoint.ts';
import { invalidArgument } from '../refusal.ts';
import { accountWire, WireAccount } from '../wire/account.ts';
import { defaultNetwork } from '../wire/network.ts';

const none = Type.Object({});
const Config = Type.Object({ default_network: Type.String({ format: 'uuid' }) });

export const accountEndpoints = [
  endpoint({
    name: 'GetAccount',
    method: 'GET',
    path: '/:account',
    parameters: none,
    answer: WireAccount,
    handle: ({ account }) => ({ body: accountWire(account) }),
  }),
  endpoint({
    name: 'UpdateAccount',
    method: 'POST',
    path: '/:account',
    parameters: Type.Object({ ...AccountProfile.properties, triton_cns_enabled: Type.Optional(Type.Boolean()) }),
    answer: WireAccount,
    handle: async ({ control, context, account, parameters }) => {
      const { triton_cns_enabled: cns, ...profile } = parameters;
      if (cns === true) throw invalidArgument('triton_cns_enabled', 'names in DNS are not available in this datacenter');
      const changed = await control.store.transaction(async (db) => {
        const { profile: former } = await accountGet(context, db, account.id);
        await accountSetProfile(context, db, account.id, { ...former, ...profile }, new Date().toISOString());
        return accountGet(context, db, account.id);
      });
      return { body: accountWire(changed) };
    },
  }),
  endpoint({
    name: 'GetConfig',
    method: 'GET',
    path: '/:account/config',
    parameters: none,
    answer: Config,
    handle: () => ({ body: { default_network: defaultNetwork.id } }),
  }),
  endpoint({
    name: 'UpdateConfig',
    method: 'PUT',
    path: '/:account/config',
    parameters: Config,
    answer: Config,
    handle: ({ parameters }) => {
      if (parameters.default_network !== defaultNetwork.id) throw invalidArgument('default_network', 'there is no such network');
      return { body: parameters };
    },
  }),
];
