/** Users of the account and their keys. Nothing here asks for a password, so none is kept. */
import { randomUUID } from 'node:crypto';
import { Type } from 'typebox';
import type { User } from '../../../model/access.ts';
import { AccountProfile, CreateKey } from '../../../model/account.ts';
import { accountNamePattern } from '../../../model/names.ts';
import { roleList } from '../../../store/role.ts';
import { userDelete, userGet, userKeyAdd, userKeyDelete, userKeyFind, userKeyList, userList, userSave } from '../../../store/user.ts';
import { readKey } from '../../app/account.ts';
import { demandKey } from '../../app/token.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { invalidArgument, notFound } from '../refusal.ts';
import { keyWire, WireKey } from '../wire/account.ts';

const none = Type.Object({});
const Password = Type.String({ minLength: 7, maxLength: 256 });
const Login = Type.String({ pattern: accountNamePattern });
const mostUsers = 1000;

const WireUser = Type.Object({
  id: Type.String({ format: 'uuid' }),
  login: Type.String(),
  ...AccountProfile.properties,
  created: Type.String(),
  updated: Type.String(),
  roles: Type.Optional(Type.Array(Type.String())),
  default_roles: Type.Optional(Type.Array(Type.String())),
});

const userWire = ({ id, login, profile, createdAt, updatedAt }: User) => ({ id, login, ...profile, created: createdAt, updated: updatedAt });

const userOf = ({ control, context, path }: Pick<Call, 'control' | 'context' | 'path'>): Promise<User> => userGet(context, control.store.db, path['user']!);

const membershipOf = async ({ control, context }: Pick<Call, 'control' | 'context'>, { id }: User) => {
  const roles = await roleList(context, control.store.db);
  const named = (which: (byDefault: boolean) => boolean) =>
    roles.filter(({ members }) => members.some((member) => member.id === id && which(member.byDefault))).map(({ name }) => name);
  return { roles: named(() => true), default_roles: named((byDefault) => byDefault) };
};

export const userEndpoints = [
  endpoint({
    name: 'ListUsers',
    method: 'GET',
    path: '/:account/users',
    parameters: none,
    answer: Type.Array(WireUser),
    handle: async ({ control, context }) => ({ body: (await userList(context, control.store.db)).map(userWire) }),
  }),
  endpoint({
    name: 'CreateUser',
    method: 'POST',
    path: '/:account/users',
    status: 201,
    parameters: Type.Object({ login: Login, ...AccountProfile.properties, email: Type.String({ minLength: 3, maxLength: 256 }), password: Password }),
    answer: WireUser,
    handle: async ({ control, context, account, parameters }) => {
      const { login, password: _unused, ...profile } = parameters;
      const now = new Date().toISOString();
      const user: User = { id: randomUUID(), account: context.account, login, profile, createdAt: now, updatedAt: now };
      await control.store.transaction(async (db) => {
        if ((await userList(context, db)).length >= mostUsers) throw invalidArgument('login', `there are ${mostUsers} users already`);
        await userSave(context, db, user);
      });
      return { body: userWire(user), headers: { location: `/${account.name}/users/${user.id}` } };
    },
  }),
  endpoint({
    name: 'GetUser',
    method: 'GET',
    path: '/:account/users/:user',
    parameters: Type.Object({ membership: Type.Optional(Type.Boolean()) }),
    answer: WireUser,
    handle: async (call) => {
      const user = await userOf(call);
      return { body: { ...userWire(user), ...(call.parameters.membership === true ? await membershipOf(call, user) : {}) } };
    },
  }),
  endpoint({
    name: 'UpdateUser',
    method: 'POST',
    path: '/:account/users/:user',
    parameters: Type.Object({ login: Type.Optional(Login), ...AccountProfile.properties }),
    answer: WireUser,
    handle: async (call) => {
      const { login, ...profile } = call.parameters;
      const changed = await call.control.store.transaction(async (db) => {
        const user = await userGet(call.context, db, call.path['user']!);
        const next = { ...user, login: login ?? user.login, profile: { ...user.profile, ...profile }, updatedAt: new Date().toISOString() };
        await userSave(call.context, db, next);
        return next;
      });
      return { body: userWire(changed) };
    },
  }),
  endpoint({
    name: 'ChangeUserPassword',
    method: 'POST',
    path: '/:account/users/:user/change_password',
    parameters: Type.Object({ password: Password, password_confirmation: Password }),
    answer: WireUser,
    handle: async (call) => {
      if (call.parameters.password !== call.parameters.password_confirmation) throw invalidArgument('password_confirmation', 'is another password');
      return { body: userWire(await userOf(call)) };
    },
  }),
  endpoint({
    name: 'DeleteUser',
    method: 'DELETE',
    path: '/:account/users/:user',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id } = await userOf(call);
      await call.control.store.transaction((db) => userDelete(call.context, db, id));
      return {};
    },
  }),
  endpoint({
    name: 'ListUserKeys',
    method: 'GET',
    path: '/:account/users/:user/keys',
    parameters: none,
    answer: Type.Array(WireKey),
    handle: async (call) => ({ body: (await userKeyList(call.context, call.control.store.db, await userOf(call))).map(keyWire) }),
  }),
  endpoint({
    name: 'CreateUserKey',
    method: 'POST',
    path: '/:account/users/:user/keys',
    status: 201,
    parameters: Type.Object(CreateKey.properties),
    answer: WireKey,
    handle: async (call) => {
      demandKey(call.context);
      const user = await userOf(call);
      const key = readKey('key', call.parameters);
      await call.control.store.transaction((db) => userKeyAdd(call.context, db, user, key));
      return { body: keyWire(key), headers: { location: `/${call.account.name}/users/${user.id}/keys/${encodeURIComponent(key.name)}` } };
    },
  }),
  endpoint({
    name: 'GetUserKey',
    method: 'GET',
    path: '/:account/users/:user/keys/:key',
    parameters: none,
    answer: WireKey,
    handle: async (call) => ({ body: keyWire(await userKeyOf(call)) }),
  }),
  endpoint({
    name: 'DeleteUserKey',
    method: 'DELETE',
    path: '/:account/users/:user/keys/:key',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const user = await userOf(call);
      const { fingerprint } = await userKeyOf(call);
      await call.control.store.transaction((db) => userKeyDelete(call.context, db, user, fingerprint));
      return {};
    },
  }),
];

const userKeyOf = async (call: Pick<Call, 'control' | 'context' | 'path'>) => {
  const found = await userKeyFind(call.context, call.control.store.db, await userOf(call), call.path['key']!);
  if (found === undefined) throw notFound('key');
  return found;
};
