/** Which roles a resource is for: said by a PUT of the resource, told by a header of what a GET of it gives. */
import { Type } from 'typebox';
import { isUuid } from '../../../base/ids.ts';
import { machineFind } from '../../../store/machine.ts';
import { roleList, roleTagReplace } from '../../../store/role.ts';
import { resourceOf } from '../access/authorise.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { invalidArgument, notFound } from '../refusal.ts';

const Tags = Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1000 });
const longestResource = 256;

export const taggable: ReadonlySet<string> = new Set([
  'machines',
  'packages',
  'images',
  'fwrules',
  'networks',
  'users',
  'roles',
  'policies',
  'keys',
  'accesskeys',
  'datacenters',
  'services',
]);

const demandTaggable = async ({ control, context }: Call, resource: string): Promise<void> => {
  const [collection = '', id] = resource.split('/');
  if (resource === '') return;
  if (!taggable.has(collection) || resource.length > longestResource) throw notFound('resource');
  if (collection !== 'machines' || id === undefined) return;
  if (!isUuid(id) || (await machineFind(context, control.store.db, id)) === undefined) throw notFound('instance');
};

const setRoleTags = (path: string) =>
  endpoint({
    name: 'SetRoleTags',
    method: 'PUT',
    path,
    parameters: Type.Object({ 'role-tag': Tags }),
    answer: Type.Object({ name: Type.String(), 'role-tag': Type.Array(Type.String()) }),
    handle: async (call) => {
      const { control, context, account, parameters } = call;
      const resource = resourceOf(path, call.path);
      await demandTaggable(call, resource);
      const names = await control.store.transaction(async (db) => {
        const roles = await roleList(context, db);
        const asked = parameters['role-tag'].map((text) => {
          const role = roles.find(({ id, name }) => id === text || name === text);
          if (role === undefined) throw invalidArgument('role-tag', `there is no role ${text.slice(0, 64)}`);
          return role;
        });
        const wanted = [...new Set(asked)];
        await roleTagReplace(
          context,
          db,
          resource,
          wanted.map(({ id }) => id),
        );
        return wanted.map(({ name }) => name);
      });
      return { body: { name: `/${account.name}${resource === '' ? '' : `/${resource}`}`, 'role-tag': names } };
    },
  });

export const roleTagEndpoints = [
  setRoleTags('/:account'),
  setRoleTags('/:account/:collection'),
  setRoleTags('/:account/:collection/:id'),
  setRoleTags('/:account/users/:user/keys'),
  setRoleTags('/:account/users/:user/keys/:key'),
  setRoleTags('/:account/users/:user/accesskeys'),
  setRoleTags('/:account/users/:user/accesskeys/:accesskeyid'),
];
