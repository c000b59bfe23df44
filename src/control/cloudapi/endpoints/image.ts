/** Images that machines can be made of. */
import { Type } from 'typebox';
import { accountFind } from '../../../store/account.ts';
import { systemContext as system } from '../../../store/context.ts';
import type { ImageAbout, OwnedImage } from '../../../store/image.ts';
import { accountImageClone, accountImageCreate, accountImageDelete, accountImageUpdate, visibleImage, visibleImages } from '../../app/account-image.ts';
import type { Call } from '../endpoint.ts';
import { endpoint } from '../endpoint.ts';
import { matches } from '../filter.ts';
import { invalidArgument, notFound } from '../refusal.ts';
import { imageWire, WireImage } from '../wire/image.ts';
import { tagsOf } from '../wire/named.ts';
import { machineOf } from './machine.ts';

const none = Type.Object({});
const text = Type.Optional(Type.String());
const line = (maxLength: number) => Type.String({ maxLength, pattern: '^[^\\u0000-\\u001f]*$' });
const filters = Type.Object({ name: text, os: text, version: text, owner: text, state: text, type: text, public: Type.Optional(Type.Boolean()) });

const about = {
  description: Type.Optional(Type.String({ maxLength: 512, pattern: '^[^\\u0000]*$' })),
  homepage: Type.Optional(line(128)),
  eula: Type.Optional(line(128)),
  acl: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 100 })),
  tags: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
};
const Name = Type.String({ minLength: 1, maxLength: 255, pattern: '^[a-zA-Z0-9][a-zA-Z0-9_. -]*$' });
const Version = Type.String({ minLength: 1, maxLength: 128, pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.+-]*$' });

interface AboutAsked {
  description?: string;
  homepage?: string;
  eula?: string;
  acl?: string[];
  tags?: Record<string, unknown>;
}

/** An account that there is not is not told from one that there is: it may be added, and sees nothing. */
const aboutOf = async ({ control }: Pick<Call, 'control'>, asked: AboutAsked, former: ImageAbout): Promise<ImageAbout> => {
  const { acl, tags, ...texts } = asked;
  const ids = await Promise.all((acl ?? []).map(async (account) => (await accountFind(system, control.store.db, account))?.id ?? account));
  return {
    ...former,
    ...texts,
    ...(acl === undefined ? {} : { acl: [...new Set(ids)] }),
    ...(tags === undefined ? {} : { tags: tagsOf('tags.', Object.entries(tags)) }),
  };
};

const update = async (call: Call<AboutAsked & { name?: string; version?: string }>) => {
  const { control, context, path, parameters } = call;
  const { name, version, ...rest } = parameters;
  const id = path['image']!;
  const former = await visibleImage(control, context, id);
  if (former.owned === undefined || former.shared) throw notFound('image of yours');
  const asked = await aboutOf(call, rest, former.owned.about);
  await accountImageUpdate(control, context, id, (image: OwnedImage) => ({
    ...image,
    name: name ?? image.name,
    version: version ?? image.version,
    about: asked,
  }));
  return { body: imageWire(await visibleImage(control, context, id)) };
};

export const imageEndpoints = [
  endpoint({
    name: 'ListImages',
    method: 'GET',
    path: '/:account/images',
    parameters: filters,
    answer: Type.Array(WireImage),
    handle: async ({ control, context, parameters }) => {
      const { state = 'active', ...wanted } = parameters;
      const all = (await visibleImages(control, context)).map(imageWire).filter((image) => state === 'all' || state === image.state);
      return { body: all.filter((image) => Object.entries(wanted).every(([name, value]) => matches(value, image[name as keyof typeof wanted]))) };
    },
  }),
  endpoint({
    name: 'CreateImageFromMachine',
    method: 'POST',
    path: '/:account/images',
    status: 201,
    parameters: Type.Object({ machine: Type.String({ maxLength: 64 }), name: Name, version: Version, ...about }),
    answer: WireImage,
    handle: async (call) => {
      const { control, context, account, parameters } = call;
      const { machine, name, version, ...rest } = parameters;
      const source = await machineOf({ ...call, path: { machine } }).catch(() => undefined);
      if (source === undefined) throw invalidArgument('machine', 'there is no such instance');
      const asked = { machine: source.id, name, version, about: await aboutOf(call, rest, { tags: {}, acl: [] }) };
      const image = await accountImageCreate(control, context, asked);
      return { body: imageWire(image), headers: { location: `/${account.name}/images/${image.id}`, 'x-joyent-jobid': image.id } };
    },
  }),
  endpoint({
    name: 'GetImage',
    method: 'GET',
    path: '/:account/images/:image',
    parameters: none,
    answer: WireImage,
    handle: async ({ control, context, path }) => ({ body: imageWire(await visibleImage(control, context, path['image']!)) }),
  }),
  endpoint({
    name: 'UpdateImage',
    method: 'POST',
    path: '/:account/images/:image',
    action: 'update',
    parameters: Type.Object({ name: Type.Optional(Name), version: Type.Optional(Version), ...about }),
    answer: WireImage,
    handle: update,
  }),
  endpoint({
    name: 'CloneImage',
    method: 'POST',
    path: '/:account/images/:image',
    action: 'clone',
    parameters: none,
    answer: WireImage,
    handle: async ({ control, context, path }) => ({ body: imageWire(await accountImageClone(control, context, path['image']!)) }),
  }),
  endpoint({
    name: 'DeleteImage',
    method: 'DELETE',
    path: '/:account/images/:image',
    parameters: none,
    answer: null,
    handle: async ({ control, context, path }) => {
      const { owned, shared, id } = await visibleImage(control, context, path['image']!);
      if (owned === undefined || shared) throw notFound('image of yours');
      await accountImageDelete(control, context, id);
      return {};
    },
  }),
];
