/** An image as CloudAPI shows it: a Linux container's. */
import { Type } from 'typebox';
import type { Image } from '../../../model/image.ts';
import { defaultAccount } from '../../../store/context.ts';
import { publicId } from '../public-id.ts';

export const WireImage = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  version: Type.String(),
  os: Type.String(),
  type: Type.String(),
  requirements: Type.Object({}),
  description: Type.String(),
  published_at: Type.String(),
  owner: Type.String({ format: 'uuid' }),
  public: Type.Boolean(),
  state: Type.String(),
  tags: Type.Record(Type.String(), Type.Unknown()),
  files: Type.Array(Type.Object({ compression: Type.String(), sha1: Type.String(), size: Type.Integer() })),
  image_size: Type.Integer({ description: 'MiB' }),
});

export const imageWire = (image: Image) => ({
  id: image.id,
  name: image.name,
  version: '1.0.0',
  os: 'linux',
  type: 'lx-dataset',
  requirements: {},
  description: image.config.Labels?.['org.opencontainers.image.description'] ?? '',
  published_at: image.createdAt,
  owner: publicId('account', defaultAccount),
  public: true,
  state: 'active',
  tags: {},
  files: [{ compression: 'none', sha1: '', size: Math.round(image.sizeMib * 1024 * 1024) }],
  image_size: Math.ceil(image.sizeMib),
});
