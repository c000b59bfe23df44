/** Packages: the newest version of each is offered; what a machine has may be an older one. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { packageList } from '../../../store/package.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { matches } from '../filter.ts';
import { notFound } from '../refusal.ts';
import { packageId, packageWire, WirePackage } from '../wire/package.ts';

const text = Type.Optional(Type.String());
const number = Type.Optional(Type.Integer());
const filters = Type.Object({
  name: text,
  version: text,
  group: text,
  memory: number,
  disk: number,
  swap: number,
  lwps: number,
  vcpus: Type.Optional(Type.Number()),
});

/** By its id or its name; undefined where there is none. */
export const packageRef = async ({ control, context }: Pick<Call, 'control' | 'context'>, idOrName: string): Promise<string | undefined> => {
  const all = await packageList(context, control.store.db, true);
  const found = all.find(({ name, version }) => name === idOrName || packageId(name, version) === idOrName);
  return found === undefined ? undefined : `${found.name}@${found.version}`;
};

export const packageEndpoints = [
  endpoint({
    name: 'ListPackages',
    method: 'GET',
    path: '/:account/packages',
    parameters: filters,
    answer: Type.Array(WirePackage),
    handle: async ({ control, context, parameters }) => {
      const all = (await packageList(context, control.store.db, false)).map(packageWire);
      const wanted = Object.entries(parameters) as [keyof Static<typeof filters>, unknown][];
      return { body: all.filter((one) => wanted.every(([name, value]) => matches(value, one[name]))) };
    },
  }),
  endpoint({
    name: 'GetPackage',
    method: 'GET',
    path: '/:account/packages/:package',
    parameters: Type.Object({}),
    answer: WirePackage,
    handle: async ({ control, context, path }) => {
      const all = (await packageList(context, control.store.db, true)).map(packageWire);
      const found = all.find(({ id, name }) => id === path['package'] || name === path['package']);
      if (found === undefined) throw notFound('package');
      return { body: found };
    },
  }),
];
