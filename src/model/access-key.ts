/** Access keys: an id and a secret, by which programs sign their requests that have no SSH key. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { oneLine } from './account.ts';

const closed = { additionalProperties: false } as const;

export const AccessKey = Type.Object(
  {
    /** It is no secret, and says nothing of whose the key is. */
    id: Type.String(),
    /** Whether what it signs is let in. */
    active: Type.Boolean(),
    /** What it is for; empty where nobody said. */
    description: Type.String(),
    createdAt: Type.String(),
    updatedAt: Type.String(),
  },
  closed,
);
export type AccessKey = Static<typeof AccessKey>;

/** `secret` is told once, here. */
export const MadeAccessKey = Type.Object({ ...AccessKey.properties, secret: Type.String() }, closed);
export type MadeAccessKey = Static<typeof MadeAccessKey>;

/** To make one, active where nothing is said; to change one, what is left out stays. */
export const AccessKeyWish = Type.Object({ active: Type.Optional(Type.Boolean()), description: Type.Optional(oneLine) }, closed);
export type AccessKeyWish = Static<typeof AccessKeyWish>;
