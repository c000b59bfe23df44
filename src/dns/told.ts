/**
 * What a host's agent tells its resolver, a line of JSON each, over a socket that only root reaches: first all there is, then each change.
 * The resolver says
 * where machines' questions are taken and what came of them, again when that has changed.
 */
import type { NamedAccount, NamedMachine } from './machine-names.ts';

export interface ToldMachine {
  id: string;
  account: string;
  address: string;
  /** Under which it asks; absent: that one. */
  asks?: readonly string[] | undefined;
  /** By which network under each of them, and all that it is known to be on; absent: an agent of before tells, and it is not known. */
  asksBy?: readonly string[] | undefined;
  on?: readonly string[] | undefined;
  /** Null: it has no names of its own, but may ask. */
  named: NamedMachine | null;
}

export type Told =
  | { kind: 'all'; accounts: readonly NamedAccount[]; machines: readonly ToldMachine[] }
  | { kind: 'accounts'; accounts: readonly NamedAccount[] }
  | { kind: 'machine'; machine: ToldMachine }
  | { kind: 'gone'; id: string };
