/** Account and key as CloudAPI shows them. */
import { Type } from 'typebox';
import { AccountProfile } from '../../../model/account.ts';
import type { Account, AccountKey } from '../../../model/account.ts';
import { publicId } from '../../../model/public-id.ts';

export const WireAccount = Type.Object({
  id: Type.String({ format: 'uuid' }),
  login: Type.String(),
  ...AccountProfile.properties,
  email: Type.String(),
  triton_cns_enabled: Type.Boolean(),
  created: Type.String(),
  updated: Type.String(),
});

export const accountWire = ({ id, name, profile, namesEnabled, createdAt, updatedAt }: Account) => ({
  id: publicId('account', id),
  login: name,
  email: '',
  ...profile,
  triton_cns_enabled: namesEnabled,
  created: createdAt,
  updated: updatedAt,
});

export const WireKey = Type.Object({ name: Type.String(), fingerprint: Type.String(), key: Type.String() });

/** When it was added is in our own API: `triton rbac apply` takes a key for another one, and exchanges it, when there is more of it than this. */
export const keyWire = ({ name, fingerprint, key }: AccountKey) => ({ name, fingerprint, key });
