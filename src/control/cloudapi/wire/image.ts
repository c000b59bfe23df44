/** An image as CloudAPI shows it: a Linux container's. */
import { Type } from 'typebox';
import { defaultAccount } from '../../../store/context.ts';
import type { VisibleImage } from '../../app/account-image.ts';
import { publicId } from '../../../model/public-id.ts';

export const WireImage = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  version: Type.String(),
  os: Type.Literal('linux'),
  type: Type.Literal('lx-dataset'),
  requirements: Type.Object({}),
  description: Type.String(),
  homepage: Type.Optional(Type.String()),
  eula: Type.Optional(Type.String()),
  published_at: Type.String(),
  owner: Type.String({ format: 'uuid' }),
  public: Type.Boolean(),
  state: Type.Enum(['active', 'creating', 'failed']),
  tags: Type.Record(Type.String(), Type.Unknown()),
  acl: Type.Optional(Type.Array(Type.String({ format: 'uuid' }))),
  files: Type.Array(Type.Object({ compression: Type.String(), sha1: Type.String(), size: Type.Integer() })),
  image_size: Type.Optional(Type.Integer({ description: 'MiB' })),
  error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
});

export const imageWire = ({ id, content, owned, state, shared }: VisibleImage) => {
  const about = owned?.about;
  return {
    id,
    name: owned?.name ?? content!.name,
    version: owned?.version ?? '1.0.0',
    os: 'linux' as const,
    type: 'lx-dataset' as const,
    requirements: {},
    description: about?.description ?? content?.config.Labels?.['org.opencontainers.image.description'] ?? '',
    ...(about?.homepage === undefined ? {} : { homepage: about.homepage }),
    ...(about?.eula === undefined ? {} : { eula: about.eula }),
    published_at: owned?.createdAt ?? content!.createdAt,
    owner: publicId('account', owned?.account ?? defaultAccount),
    public: owned === undefined,
    state,
    tags: about?.tags ?? {},
    // With whom else it is shared is the owner's matter.
    ...(about === undefined || shared ? {} : { acl: about.acl.map((account) => publicId('account', account)) }),
    files: content === undefined ? [] : [{ compression: 'none', sha1: '', size: Math.round(content.sizeMib * 1024 * 1024) }],
    ...(content === undefined ? {} : { image_size: Math.ceil(content.sizeMib) }),
    ...(state === 'failed' ? { error: { code: 'InternalError', message: owned?.error ?? 'its making was interrupted' } } : {}),
  };
};
