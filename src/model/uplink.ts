/** What leads outside: how a host says whether guarantees hold there. */
import { Type } from 'typebox';
import type { Static } from 'typebox';

export const UplinkStatus = Type.Object(
  {
    device: Type.String(),
    capacityMbps: Type.Integer(),
    /** Why guarantees do not hold there now; null: they do. */
    lacks: Type.Union([Type.String(), Type.Null()]),
  },
  { additionalProperties: false },
);
export type UplinkStatus = Static<typeof UplinkStatus>;
