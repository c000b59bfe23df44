/** The account itself. */
import { Type } from 'typebox';
import { AccountProfile } from '../../../model/account.ts';
import { externalNetwork } from '../../../model/nics.ts';
import { accountGet, accountSetNamesEnabled, accountSetProfile } from '../../../store/account.ts';
import { setAsideFor } from '../../../store/set-aside.ts';
import { networkDefault } from '../../../store/network.ts';
import { namedBy } from '../../app/field.ts';
import { networkMakeDefault } from '../../app/network.ts';
import { endpoint } from '../endpoint.ts';
import { accountWire, WireAccount } from '../wire/account.ts';

const none = Type.Object({});
const Config = Type.Object({ default_network: Type.String({ format: 'uuid' }) });

const scaled = (value: number | null | undefined, unit: number): number | null => (typeof value === 'number' ? value / unit : null);

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
      const changed = await control.store.transaction(async (db) => {
        const { profile: former } = await accountGet(context, db, account.id);
        const now = new Date().toISOString();
        await accountSetProfile(context, db, account.id, { ...former, ...profile }, now);
        if (cns !== undefined) await accountSetNamesEnabled(context, db, account.id, cns, now);
        return accountGet(context, db, account.id);
      });
      control.names.accountsChanged();
      return { body: accountWire(changed) };
    },
  }),
  endpoint({
    name: 'GetLimits',
    method: 'GET',
    path: '/:account/limits',
    parameters: none,
    answer: Type.Array(Type.Object({ by: Type.Enum(['machines', 'ram', 'quota', 'cpu']), value: Type.Number(), used: Type.Number() })),
    handle: async ({ control, context, account }) => {
      const { inAccount: used } = await setAsideFor(context, control.store.db, account.id);
      const { machines, memoryMib, diskMib, cpuMillis } = account.quota;
      // In machines, MiB, GiB, and (an addition) cores.
      const limits = [
        { by: 'machines', value: machines, used: used.machines },
        { by: 'ram', value: memoryMib, used: used.memoryMib },
        { by: 'quota', value: scaled(diskMib, 1024), used: used.diskMib / 1024 },
        { by: 'cpu', value: scaled(cpuMillis, 1000), used: used.cpuMillis / 1000 },
      ];
      return { body: limits.filter(({ value }) => typeof value === 'number') };
    },
  }),
  endpoint({
    name: 'GetConfig',
    method: 'GET',
    path: '/:account/config',
    parameters: none,
    answer: Config,
    handle: async ({ control, context }) => ({ body: { default_network: (await networkDefault(context, control.store.db)) ?? externalNetwork } }),
  }),
  endpoint({
    name: 'UpdateConfig',
    method: 'PUT',
    path: '/:account/config',
    parameters: Config,
    answer: Config,
    handle: async ({ control, context, parameters: { default_network: id } }) => {
      await namedBy('default_network', () => networkMakeDefault(control, context, id), { words: 'there is no such network' });
      return { body: { default_network: id } };
    },
  }),
];
