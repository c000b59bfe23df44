/** Signs requests with an account's SSH key, from a file or by the agent (draft-cavage HTTP signatures, as CloudAPI's clients do). */
import { readFile } from 'node:fs/promises';
import { CenoteError, messageOf } from '../../base/errors.ts';
import { agentKeys, agentSign } from './agent.ts';
import { readPrivateKey } from './private-key.ts';
import { hasFingerprint } from './public-key.ts';
import type { PublicKey } from './public-key.ts';

/** Where a profile's key is. */
export type KeySource = { file: string } | { fingerprint: string };

export interface Signer {
  publicKey: PublicKey;
  sign(data: Buffer): Promise<Buffer> | Buffer;
}

export const openSigner = (source: KeySource, agentSocket: string | undefined): Promise<Signer> =>
  'file' in source ? fromFile(source.file, agentSocket) : fromAgent(source.fingerprint, agentSocket);

const fromFile = async (path: string, agentSocket: string | undefined): Promise<Signer> => {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CenoteError('invalid_argument', `the key ${path} cannot be read: ${messageOf(cause)}`, { cause });
  });
  const { publicKey, sign } = readPrivateKey(text, path);
  if (publicKey !== undefined && sign !== undefined) return { publicKey, sign };
  // Locked with a passphrase: whoever unlocked it for the agent need not do it again.
  const known =
    publicKey === undefined || agentSocket === undefined
      ? undefined
      : (await agentKeys(agentSocket).catch(() => [])).find(({ sha256 }) => sha256 === publicKey.sha256);
  if (known === undefined || agentSocket === undefined)
    throw new CenoteError('unauthorized', `the key ${path} is locked with a passphrase`, {
      advice: agentSocket === undefined ? `start an SSH agent and add it: eval "$(ssh-agent)"; ssh-add ${path}` : `add it to the SSH agent: ssh-add ${path}`,
    });
  return byAgent(agentSocket, known);
};

const fromAgent = async (fingerprint: string, agentSocket: string | undefined): Promise<Signer> => {
  if (agentSocket === undefined)
    throw new CenoteError('unauthorized', `the key ${fingerprint} is to be had of the SSH agent, and there is none (SSH_AUTH_SOCK)`, {
      advice: 'start one and add the key: eval "$(ssh-agent)"; ssh-add',
    });
  const keys = await agentKeys(agentSocket);
  const found = keys.find((key) => hasFingerprint(key, fingerprint));
  if (found !== undefined) return byAgent(agentSocket, found);
  const there = keys.length === 0 ? 'none that could be used' : keys.map(({ sha256 }) => sha256).join(', ');
  throw new CenoteError('unauthorized', `the SSH agent has no key ${fingerprint}`, { advice: `add it: ssh-add FILE (it has ${there})` });
};

const byAgent = (socketPath: string, publicKey: PublicKey): Signer => ({ publicKey, sign: (data) => agentSign(socketPath, publicKey, data) });

/** Whose key it is: an account's, or one of a user of the account. */
export interface KeyOwner {
  account: string;
  user?: string | undefined;
}

/** What proves a request: its date, and that this method and path are meant. */
export const signedHeaders = async (signer: Signer, owner: KeyOwner, method: string, path: string): Promise<{ date: string; authorization: string }> => {
  const date = new Date().toUTCString();
  const { publicKey } = signer;
  const signature = await signer.sign(Buffer.from(`(request-target): ${method.toLowerCase()} ${path}\ndate: ${date}`));
  const of = owner.user === undefined ? owner.account : `${owner.account}/users/${owner.user}`;
  const keyId = `/${of}/keys/${encodeURIComponent(publicKey.sha256)}`;
  const authorization = `Signature keyId="${keyId}",algorithm="${publicKey.algorithm}",headers="(request-target) date",signature="${signature.toString('base64')}"`;
  return { date, authorization };
};
