/** Identifiers. Every id is a UUID; the brand keeps a machine's id from being passed where an image's is meant. */
import { randomUUID } from 'node:crypto';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type MachineId = Branded<'machine'>;
export type ImageId = Branded<'image'>;
export type AccountId = Branded<'account'>;
export type JobId = Branded<'job'>;
export type TokenId = Branded<'token'>;

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const isUuid = (text: string): boolean => uuidPattern.test(text);
export const newMachineId = (): MachineId => randomUUID() as MachineId;
export const newImageId = (): ImageId => randomUUID() as ImageId;
export const newAccountId = (): AccountId => randomUUID() as AccountId;
export const newTokenId = (): TokenId => randomUUID() as TokenId;
/** In the order of time (RFC 9562, version 7): there are many, and an index of them that grows at its end is written in one place. */
export const newJobId = (): JobId => {
  const ms = Date.now().toString(16).padStart(12, '0');
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7${randomUUID().slice(15)}` as JobId;
};

/** The first eight digits, as listings show them. */
export const shortId = (id: string): string => id.slice(0, 8);
