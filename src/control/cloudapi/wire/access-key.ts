/** An access key as CloudAPI shows it. */
import { Type } from 'typebox';
import type { AccessKey, MadeAccessKey } from '../../../model/access-key.ts';

export const Status = Type.Enum(['Active', 'Inactive']);

export const WireAccessKey = Type.Object({
  accesskeyid: Type.String(),
  status: Status,
  description: Type.Optional(Type.String()),
  created: Type.String(),
  updated: Type.String(),
  /** There are none that last for a while only: for that there are tokens. */
  credentialtype: Type.Literal('permanent'),
  expiration: Type.Null(),
});

export const WireMadeAccessKey = Type.Object({ ...WireAccessKey.properties, accesskeysecret: Type.String() });

export const accessKeyWire = ({ id, active, description, createdAt, updatedAt }: AccessKey) => ({
  accesskeyid: id,
  status: active ? 'Active' : 'Inactive',
  ...(description === '' ? {} : { description }),
  created: createdAt,
  updated: updatedAt,
  credentialtype: 'permanent',
  expiration: null,
});

export const madeAccessKeyWire = (key: MadeAccessKey) => ({ ...accessKeyWire(key), accesskeysecret: key.secret });
