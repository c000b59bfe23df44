/** An SSH key to sign with, from a file or of the agent. */
import { readFile } from 'node:fs/promises';
import { CenoteError, messageOf } from '../../base/errors.ts';
import { agentKeys, agentSign } from './agent.ts';
import { readPrivateKey } from './private-key.ts';
import { hasFingerprint } from './public-key.ts';
import type { PublicKey } from './public-key.ts';

export type SshKeySource = { file: string } | { fingerprint: string };

export interface SshKey {
  publicKey: PublicKey;
  sign(data: Buffer): Promise<Buffer> | Buffer;
}

export const openSshKey = (source: SshKeySource, agentSocket: string | undefined): Promise<SshKey> =>
  'file' in source ? fromFile(source.file, agentSocket) : fromAgent(source.fingerprint, agentSocket);

const fromFile = async (path: string, agentSocket: string | undefined): Promise<SshKey> => {
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

const fromAgent = async (fingerprint: string, agentSocket: string | undefined): Promise<SshKey> => {
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

const byAgent = (socketPath: string, publicKey: PublicKey): SshKey => ({ publicKey, sign: (data) => agentSign(socketPath, publicKey, data) });
