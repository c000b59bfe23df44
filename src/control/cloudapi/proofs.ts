/** Who calls: by whatever means a request proves it. */
import type { IncomingMessage } from 'node:http';
import type { AccessBook } from './access/book.ts';
import type { Lasting } from './lasting.ts';
import { Refusal } from './refusal.ts';
import { Signatures } from './signature.ts';
import type { Caller } from './caller.ts';
import { callerByToken, takeToken } from './token.ts';

export class Proofs {
  readonly #book: AccessBook;
  readonly #signatures: Signatures;
  readonly #lasting: Lasting;

  constructor(book: AccessBook, lasting: Lasting) {
    this.#book = book;
    this.#lasting = lasting;
    this.#signatures = new Signatures(book);
  }

  /** Once for each request. */
  async callerOf(request: IncomingMessage): Promise<Caller> {
    const token = takeToken(request);
    const caller = token === undefined ? await this.#signatures.callerOf(request) : await callerByToken(this.#book, request, token);
    // Told only to who has proved to be of the account.
    if (caller.account.disabledAt !== null) throw new Refusal(403, 'NotAuthorized', 'Account or user is disabled');
    this.#lasting.release(request.socket);
    return caller;
  }
}
