/**
 * Who signed a request: HTTP signatures with an SSH key, or with an access key's secret, of an account or of one of its users. There is no session
 * and no login; every request proves itself. Whether an account, a key or the signature is at fault is not told apart, neither by words nor by
 * how long it takes.
 */
import type { IncomingMessage } from 'node:http';
import type { Credential, Named, SigningKey } from '../../store/credential.ts';
import type { AccessBook } from './access/book.ts';
import { provedCaller } from './caller.ts';
import type { Caller } from './caller.ts';
import { Refusal } from './refusal.ts';
import { readSignature, secretAlgorithm } from './signed-request.ts';
import type { Signature } from './signed-request.ts';
import { Verifier } from './verifier.ts';

const invalidCredentials = (message = 'The credentials provided are invalid'): Refusal => new Refusal(401, 'InvalidCredentials', message);

const forms = '/ACCOUNT/keys/FINGERPRINT, /ACCOUNT/accesskeys/ID, or the same below /ACCOUNT/users/USER';

export class Signatures {
  readonly #book: AccessBook;
  readonly #verifier = new Verifier();

  constructor(book: AccessBook) {
    this.#book = book;
  }

  async callerOf(request: IncomingMessage): Promise<Caller> {
    const signature = readSignature(request);
    const named = readKeyId(signature.keyId);
    if ((named.kind === 'access') !== (signature.algorithm === secretAlgorithm))
      throw invalidCredentials(`access keys sign with ${secretAlgorithm}, and SSH keys never do`);
    const { account, user, by } = await this.#prove(signature, named);
    const key = nameOf(by);
    const [noun, words] = by.kind === 'ssh' ? ['keys', 'key'] : ['accesskeys', 'access key'];
    const keyId = `/${account.name}${user === undefined ? '' : `/users/${user.login}`}/${noun}/${key}`;
    const caller = provedCaller(request, { account, user }, { type: 'signature', keyId, words: `${words} ${key}` });
    const stillHolds = async () => {
      const now = this.#book.knownCredential(signature.keyId) ?? (await this.#find(signature.keyId, named));
      return now !== undefined && now.account.disabledAt === null && now.account.id === account.id && now.user?.id === user?.id && nameOf(now.by) === key;
    };
    return { ...caller, context: { ...caller.context, key }, stillHolds };
  }

  /** Of one that has proved itself before. */
  async #find(keyId: string, named: Named): Promise<Credential | undefined> {
    const { found, proved } = await this.#book.findCredential(keyId, named);
    if (found !== undefined) proved();
    return found;
  }

  /** Whoever fails has been compared with some key, the store was asked once, and then with some key again: whatever was wrong. */
  async #prove(signature: Signature, named: Named): Promise<Credential> {
    const known = this.#book.knownCredential(signature.keyId);
    if ((await this.#verifier.holds(signature, known?.by)) && known !== undefined) return known;
    const { found, proved } = await this.#book.findCredential(signature.keyId, named);
    if (!(await this.#verifier.holds(signature, found?.by)) || found === undefined) throw invalidCredentials();
    proved();
    return found;
  }
}

const nameOf = (by: SigningKey): string => (by.kind === 'ssh' ? by.key.fingerprint : by.id);

const readKeyId = (keyId: string): Named => {
  const match = /^\/([^/]{1,64})(?:\/users\/([^/]{1,64}))?\/(access)?keys\/(.{1,128})$/.exec(keyId);
  const [, account, user, access, key] = match ?? [];
  // What no name has, not every database can be asked for.
  if (account === undefined || key === undefined || /%00|\0/.test(keyId)) throw invalidCredentials(`the keyId is not ${forms}`);
  return {
    account: plain(account),
    user: user === undefined ? undefined : plain(user),
    kind: access === undefined ? 'ssh' : 'access',
    key: plain(key),
  };
};

const plain = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
