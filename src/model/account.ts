/** Accounts: who machines belong to, and the SSH keys by which they are known from outside. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { accountNamePattern, keyNamePattern } from './names.ts';

const closed = { additionalProperties: false } as const;
export const oneLine = Type.String({ maxLength: 256, pattern: '^[^\\u0000-\\u001f]*$' });

/** What an account says of itself; nothing here depends on it. */
export const AccountProfile = Type.Object(
  {
    email: Type.Optional(oneLine),
    companyName: Type.Optional(oneLine),
    firstName: Type.Optional(oneLine),
    lastName: Type.Optional(oneLine),
    address: Type.Optional(oneLine),
    postalCode: Type.Optional(oneLine),
    city: Type.Optional(oneLine),
    state: Type.Optional(oneLine),
    country: Type.Optional(oneLine),
    phone: Type.Optional(oneLine),
  },
  closed,
);
export type AccountProfile = Static<typeof AccountProfile>;

const most = (maximum: number) => Type.Optional(Type.Union([Type.Integer({ minimum: 0, maximum }), Type.Null()]));

/** The most its machines may be, and be guaranteed, together; null or absent is no such limit but the pool's. */
export const AccountQuota = Type.Object(
  { machines: most(1_000_000), cpuMillis: most(1_000_000_000), memoryMib: most(1024 * 1024 * 1024), diskMib: most(1024 * 1024 * 1024) },
  closed,
);
export type AccountQuota = Static<typeof AccountQuota>;

export const Account = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    profile: AccountProfile,
    quota: AccountQuota,
    /** Whether its machines have names in the DNS. */
    namesEnabled: Type.Boolean(),
    createdAt: Type.String(),
    updatedAt: Type.String(),
    /** Since when nobody is let in for it; null: somebody is. */
    disabledAt: Type.Union([Type.String(), Type.Null()]),
  },
  closed,
);
export type Account = Static<typeof Account>;

export const AccountKey = Type.Object(
  {
    name: Type.String(),
    /** MD5 in hexadecimal with colons, as CloudAPI names keys. */
    fingerprint: Type.String(),
    /** As `ssh-keygen -l` prints it: `SHA256:…`. */
    sha256: Type.String(),
    /** One line in OpenSSH's format. */
    key: Type.String(),
    createdAt: Type.String(),
  },
  closed,
);
export type AccountKey = Static<typeof AccountKey>;

export const Token = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    /** Who made it. */
    actor: Type.String(),
    createdAt: Type.String(),
    expiresAt: Type.String(),
  },
  closed,
);
export type Token = Static<typeof Token>;

/** `token` is told once, here. */
export const MadeToken = Type.Object({ ...Token.properties, token: Type.String() }, closed);
export type MadeToken = Static<typeof MadeToken>;

/** How long it holds; an hour where nothing is said. */
export const CreateToken = Type.Object({ seconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 12 * 3600 })) }, closed);
export type CreateToken = Static<typeof CreateToken>;

/** A public key in any format that OpenSSH writes. */
export const CreateKey = Type.Object(
  { name: Type.Optional(Type.String({ pattern: keyNamePattern })), key: Type.String({ minLength: 1, maxLength: 16_384 }) },
  closed,
);
export type CreateKey = Static<typeof CreateKey>;

export const CreateAccount = Type.Object(
  {
    name: Type.String({ pattern: accountNamePattern }),
    profile: Type.Optional(AccountProfile),
    quota: Type.Optional(AccountQuota),
    keys: Type.Optional(Type.Array(CreateKey, { maxItems: 100 })),
  },
  closed,
);
export type CreateAccount = Static<typeof CreateAccount>;

/** What is left out stays as it is. */
export const UpdateAccount = Type.Object(
  { profile: Type.Optional(AccountProfile), quota: Type.Optional(AccountQuota), namesEnabled: Type.Optional(Type.Boolean()) },
  closed,
);
export type UpdateAccount = Static<typeof UpdateAccount>;
