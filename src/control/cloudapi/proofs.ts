/** Who calls: by whatever means a request proves it. */
import type { IncomingMessage } from 'node:http';
import type { Sessions } from '../app/sessions.ts';
import { Refusal } from './refusal.ts';
import type { Caller, Signatures } from './signature.ts';

export class Proofs {
  readonly #signatures: Signatures;
  readonly #sessions: Sessions;

  constructor(signatures: Signatures, sessions: Sessions) {
    this.#signatures = signatures;
    this.#sessions = sessions;
  }

  async callerOf(request: IncomingMessage): Promise<Caller> {
    const caller = await this.#signatures.callerOf(request);
    // Told only to who has proved to be of the account.
    if (caller.account.disabledAt !== null) throw new Refusal(403, 'NotAuthorized', 'Account or user is disabled');
    this.#sessions.add(caller.account.id, request.socket);
    return caller;
  }
}
