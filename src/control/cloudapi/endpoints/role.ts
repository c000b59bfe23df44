/** Policies and roles. Before version 9 a role's members and policies were lists of names. */
import { randomUUID } from 'node:crypto';
import { Type } from 'typebox';
import type { Policy, Role } from '../../../model/access.ts';
import { policyDelete, policyGet, policyList, policySave, roleDelete, roleGet, roleList, roleSave } from '../../../store/role.ts';
import type { RequestContext } from '../../../store/context.ts';
import type { Db } from '../../../store/store.ts';
import { userFind } from '../../../store/user.ts';
import { parseRule } from '../access/aperture.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { invalidArgument } from '../refusal.ts';
import { isBefore } from '../version.ts';
import type { ApiVersion } from '../version.ts';

const none = Type.Object({});
const Name = Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.@ -]{0,63}$' });
const Description = Type.String({ maxLength: 1024, pattern: '^[^\\u0000]*$' });
const Rules = Type.Array(Type.String({ maxLength: 4096 }), { maxItems: 100 });
const most = 1000;

const WirePolicy = Type.Object({ id: Type.String({ format: 'uuid' }), name: Type.String(), rules: Rules, description: Type.Optional(Type.String()) });
const policyWire = ({ id, name, rules, description }: Policy) => ({ id, name, rules, ...(description === '' ? {} : { description }) });

const Member = Type.Object({
  type: Type.Literal('subuser'),
  id: Type.String({ format: 'uuid' }),
  login: Type.String(),
  default: Type.Boolean(),
});
const PolicyRef = Type.Object({ id: Type.String({ format: 'uuid' }), name: Type.String() });
const WireRole = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  members: Type.Array(Type.Union([Member, Type.String()])),
  default_members: Type.Optional(Type.Array(Type.String())),
  policies: Type.Array(Type.Union([PolicyRef, Type.String()])),
});

const roleWire = ({ id, name, members, policies }: Role, version: ApiVersion) => {
  // In the newer version an addition: `triton rbac apply` asks for 9 and compares it all the same, and ends with a fault of its own without it.
  const defaults = members.filter(({ byDefault }) => byDefault).map(({ login }) => login);
  if (isBefore(version, '9.0.0'))
    return { id, name, members: members.map(({ login }) => login), default_members: defaults, policies: policies.map((policy) => policy.name) };
  return {
    id,
    name,
    members: members.map(({ byDefault, ...member }) => ({ type: 'subuser' as const, ...member, default: byDefault })),
    default_members: defaults,
    policies,
  };
};

const AskedMember = Type.Union([
  Type.String({ maxLength: 64 }),
  Type.Object(
    {
      type: Type.Optional(Type.Enum(['subuser', 'account'])),
      id: Type.Optional(Type.String({ maxLength: 64 })),
      login: Type.Optional(Type.String({ maxLength: 64 })),
      default: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false },
  ),
]);
const AskedPolicy = Type.Union([
  Type.String({ maxLength: 64 }),
  Type.Object({ id: Type.Optional(Type.String({ maxLength: 64 })), name: Type.Optional(Type.String({ maxLength: 64 })) }, { additionalProperties: false }),
]);
const asked = {
  members: Type.Optional(Type.Array(AskedMember, { maxItems: most })),
  default_members: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: most })),
  policies: Type.Optional(Type.Array(AskedPolicy, { maxItems: most })),
};

interface MemberAsked {
  type?: 'subuser' | 'account';
  id?: string;
  login?: string;
  default?: boolean;
}

type Asked = Partial<{
  members: (string | MemberAsked)[];
  default_members: string[];
  policies: (string | { id?: string; name?: string })[];
}>;

/**
 * Either list may be left out, and then stays. Whose place among the defaults is not said keeps it: `triton rbac apply` tells members by name
 * alone where nothing else of the role is new.
 */
const membersOf = async (context: RequestContext, db: Db, { members, default_members: defaults }: Asked, former: Role['members']): Promise<Role['members']> => {
  const wanted = new Map<string, Role['members'][number]>();
  const found = async ({ type, id, login }: MemberAsked) => {
    if (type === 'account') throw invalidArgument('members', 'other accounts cannot be members in this datacenter');
    const user = await userFind(context, db, id ?? login ?? '');
    if (user === undefined) throw invalidArgument('members', `there is no user ${(id ?? login ?? '').slice(0, 64)}`);
    return { id: user.id, login: user.login };
  };
  for (const one of members ?? former.map(({ id }): MemberAsked => ({ id }))) {
    const member: MemberAsked = typeof one === 'string' ? { login: one } : one;
    const user = await found(member);
    const before = defaults === undefined && former.some(({ id, byDefault }) => id === user.id && byDefault);
    wanted.set(user.id, { ...user, byDefault: member.default ?? before });
  }
  for (const login of defaults ?? []) {
    const user = await found({ login });
    wanted.set(user.id, { ...user, byDefault: true });
  }
  return [...wanted.values()];
};

const policiesOf = async (context: RequestContext, db: Db, { policies = [] }: Asked): Promise<Role['policies']> => {
  const known = await policyList(context, db);
  const found = policies.map((one) => {
    const text = typeof one === 'string' ? one : (one.id ?? one.name ?? '');
    const policy = known.find(({ id, name }) => id === text || name === text);
    if (policy === undefined) throw invalidArgument('policies', `there is no policy ${text.slice(0, 64)}`);
    return policy;
  });
  return [...new Map(found.map(({ id, name }) => [id, { id, name }])).values()];
};

/** Which rule is wrong, and why, is told before it is kept. */
const checkedRules = (rules: string[]): string[] => {
  for (const rule of rules) parseRule(rule);
  return rules;
};

const nameIn = (call: Pick<Call, 'path'>, what: 'policy' | 'role'): string => call.path[what]!;

export const roleEndpoints = [
  endpoint({
    name: 'ListPolicies',
    method: 'GET',
    path: '/:account/policies',
    parameters: none,
    answer: Type.Array(WirePolicy),
    handle: async ({ control, context }) => ({ body: (await policyList(context, control.store.db)).map(policyWire) }),
  }),
  endpoint({
    name: 'CreatePolicy',
    method: 'POST',
    path: '/:account/policies',
    status: 201,
    parameters: Type.Object({ name: Name, rules: Rules, description: Type.Optional(Description) }),
    answer: WirePolicy,
    handle: async ({ control, context, account, parameters: { name, rules, description = '' } }) => {
      const policy: Policy = { id: randomUUID(), account: context.account, name, rules: checkedRules(rules), description, createdAt: new Date().toISOString() };
      await control.store.transaction(async (db) => {
        if ((await policyList(context, db)).length >= most) throw invalidArgument('name', `there are ${most} policies already`);
        await policySave(context, db, policy);
      });
      return { body: policyWire(policy), headers: { location: `/${account.name}/policies/${policy.id}` } };
    },
  }),
  endpoint({
    name: 'GetPolicy',
    method: 'GET',
    path: '/:account/policies/:policy',
    parameters: none,
    answer: WirePolicy,
    handle: async (call) => ({ body: policyWire(await policyGet(call.context, call.control.store.db, nameIn(call, 'policy'))) }),
  }),
  endpoint({
    name: 'UpdatePolicy',
    method: 'POST',
    path: '/:account/policies/:policy',
    parameters: Type.Object({ name: Type.Optional(Name), rules: Type.Optional(Rules), description: Type.Optional(Description) }),
    answer: WirePolicy,
    handle: async (call) => {
      const { rules, ...rest } = call.parameters;
      const changed = await call.control.store.transaction(async (db) => {
        const policy = await policyGet(call.context, db, nameIn(call, 'policy'));
        const next = { ...policy, ...rest, rules: rules === undefined ? policy.rules : checkedRules(rules) };
        await policySave(call.context, db, next);
        return next;
      });
      return { body: policyWire(changed) };
    },
  }),
  endpoint({
    name: 'DeletePolicy',
    method: 'DELETE',
    path: '/:account/policies/:policy',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id } = await policyGet(call.context, call.control.store.db, nameIn(call, 'policy'));
      await call.control.store.transaction((db) => policyDelete(call.context, db, id));
      return {};
    },
  }),
  endpoint({
    name: 'ListRoles',
    method: 'GET',
    path: '/:account/roles',
    parameters: none,
    answer: Type.Array(WireRole),
    handle: async ({ control, context, version }) => ({ body: (await roleList(context, control.store.db)).map((role) => roleWire(role, version)) }),
  }),
  endpoint({
    name: 'CreateRole',
    method: 'POST',
    path: '/:account/roles',
    status: 201,
    parameters: Type.Object({ name: Name, ...asked }),
    answer: WireRole,
    handle: async ({ control, context, account, parameters, version }) => {
      const role = await control.store.transaction(async (db) => {
        if ((await roleList(context, db)).length >= most) throw invalidArgument('name', `there are ${most} roles already`);
        const made: Role = {
          id: randomUUID(),
          account: context.account,
          name: parameters.name,
          members: await membersOf(context, db, parameters, []),
          policies: await policiesOf(context, db, parameters),
          createdAt: new Date().toISOString(),
        };
        await roleSave(context, db, made);
        return made;
      });
      return { body: roleWire(role, version), headers: { location: `/${account.name}/roles/${role.id}` } };
    },
  }),
  endpoint({
    name: 'GetRole',
    method: 'GET',
    path: '/:account/roles/:role',
    parameters: none,
    answer: WireRole,
    handle: async (call) => ({ body: roleWire(await roleGet(call.context, call.control.store.db, nameIn(call, 'role')), call.version) }),
  }),
  endpoint({
    name: 'UpdateRole',
    method: 'POST',
    path: '/:account/roles/:role',
    parameters: Type.Object({ name: Type.Optional(Name), ...asked }),
    answer: WireRole,
    handle: async (call) => {
      const { name, policies, ...lists } = call.parameters as Asked & { name?: string };
      const changed = await call.control.store.transaction(async (db) => {
        const role = await roleGet(call.context, db, nameIn(call, 'role'));
        const next: Role = {
          ...role,
          name: name ?? role.name,
          members: await membersOf(call.context, db, lists, role.members),
          policies: policies === undefined ? role.policies : await policiesOf(call.context, db, { policies }),
        };
        await roleSave(call.context, db, next);
        return next;
      });
      return { body: roleWire(changed, call.version) };
    },
  }),
  endpoint({
    name: 'DeleteRole',
    method: 'DELETE',
    path: '/:account/roles/:role',
    parameters: none,
    answer: null,
    handle: async (call) => {
      const { id } = await roleGet(call.context, call.control.store.db, nameIn(call, 'role'));
      await call.control.store.transaction((db) => roleDelete(call.context, db, id));
      return {};
    },
  }),
];
