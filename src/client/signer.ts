/** What proves requests elsewhere (draft-cavage HTTP signatures, as CloudAPI's clients do): an SSH key, or an access key's secret. */
import { openSecret } from './access-key.ts';
import type { AccessKeySource } from './access-key.ts';
import { openSshKey } from './ssh/signer.ts';
import type { SshKeySource } from './ssh/signer.ts';

/** Where a profile's key is. */
export type KeySource = SshKeySource | AccessKeySource;

/** What this process was given beside the profile. */
export interface KeySurroundings {
  /** The SSH agent's socket. */
  sshAgent: string | undefined;
  /** Of an access key. */
  secret: string | undefined;
}

export interface Signer {
  /** As HTTP signatures name it. */
  algorithm: string;
  /** Which key it is, below the path of whose it is: `keys/SHA256:…`, `accesskeys/CNAK…`. */
  keyPath: string;
  sign(data: Buffer): Promise<Buffer> | Buffer;
}

export const openSigner = async (source: KeySource, { sshAgent, secret }: KeySurroundings): Promise<Signer> => {
  if ('accessKey' in source) return openSecret(source, secret);
  const { publicKey, sign } = await openSshKey(source, sshAgent);
  return { algorithm: publicKey.algorithm, keyPath: `keys/${encodeURIComponent(publicKey.sha256)}`, sign };
};

/** Whose key it is: an account's, or one of a user of the account. */
export interface KeyOwner {
  account: string;
  user?: string | undefined;
}

/** What proves a request: its date, and that this method and path are meant. */
export const signedHeaders = async (signer: Signer, owner: KeyOwner, method: string, path: string): Promise<{ date: string; authorization: string }> => {
  const date = new Date().toUTCString();
  const signature = await signer.sign(Buffer.from(`(request-target): ${method.toLowerCase()} ${path}\ndate: ${date}`));
  const of = owner.user === undefined ? owner.account : `${owner.account}/users/${owner.user}`;
  const keyId = `/${of}/${signer.keyPath}`;
  const authorization = `Signature keyId="${keyId}",algorithm="${signer.algorithm}",headers="(request-target) date",signature="${signature.toString('base64')}"`;
  return { date, authorization };
};
