/** What the kernel, or the library, has against a transaction of nftables. */
type Kind = 'exists' | 'missing' | 'other';

/** By what the library says, and by the kernel's own name of it. */
const kinds: readonly (readonly [said: RegExp, kind: Kind])[] = [
  [/File exists|\bEEXIST\b/, 'exists'],
  [/No such file or directory|\bENOENT\b/, 'missing'],
];

export class NftablesError extends Error {
  /** The kernel said that the thing is already there, or is not there. */
  readonly kind: Kind;
  /** All that was said, with the commands at fault. */
  readonly details: string;

  constructor(details: string) {
    const line = /Error: (.*)/.exec(details)?.[1] ?? details.trim().split('\n')[0] ?? 'unknown error';
    super(`nftables: ${line}`);
    this.name = 'NftablesError';
    this.kind = kinds.find(([said]) => said.test(details))?.[1] ?? 'other';
    this.details = details;
  }
}
