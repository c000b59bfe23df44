/** Images that machines can be made of. */
import { Type } from 'typebox';
import { endpoint } from '../endpoint.ts';
import { notFound } from '../refusal.ts';
import { imageWire, WireImage } from '../wire/image.ts';

const text = Type.Optional(Type.String());
const filters = Type.Object({ name: text, os: text, version: text, owner: text, state: text, type: text, public: Type.Optional(Type.Boolean()) });

export const imageEndpoints = [
  endpoint({
    name: 'ListImages',
    method: 'GET',
    path: '/:account/images',
    parameters: filters,
    answer: Type.Array(WireImage),
    handle: async ({ control, parameters }) => {
      const { state, ...wanted } = parameters;
      const all = (await control.catalog.images()).map(imageWire);
      const shown = all.filter((image) => state === undefined || state === 'all' || state === image.state);
      return { body: shown.filter((image) => Object.entries(wanted).every(([name, value]) => image[name as keyof typeof wanted] === value)) };
    },
  }),
  endpoint({
    name: 'GetImage',
    method: 'GET',
    path: '/:account/images/:image',
    parameters: Type.Object({}),
    answer: WireImage,
    handle: async ({ control, path }) => {
      const found = (await control.catalog.images()).find(({ id }) => id === path['image']);
      if (found === undefined) throw notFound('image');
      return { body: imageWire(found) };
    },
  }),
];
