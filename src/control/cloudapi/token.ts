/** Who comes with a token: in the header `X-Auth-Token`, or, for a browser's WebSocket, as one of the protocols that it offers. */
import type { IncomingMessage } from 'node:http';
import { hashOf, tokenPattern } from '../app/token.ts';
import type { AccessBook } from './access/book.ts';
import { provedCaller } from './caller.ts';
import { Refusal } from './refusal.ts';
import type { Caller } from './caller.ts';

const protocolBegin = 'x-auth-token.';

/** Undefined where there is none. It is taken out of the request, which may be passed on. */
export const takeToken = (request: IncomingMessage): string | undefined => {
  const { 'x-auth-token': header, 'sec-websocket-protocol': offered } = request.headers;
  if (header !== undefined) {
    delete request.headers['x-auth-token'];
    if (request.headers.authorization !== undefined) throw new Refusal(400, 'InvalidHeader', 'either a signature or X-Auth-Token proves who calls, not both');
    return String(header);
  }
  const protocols = offered?.split(/\s*,\s*/) ?? [];
  const token = protocols.find((one) => one.startsWith(protocolBegin));
  if (token === undefined) return undefined;
  const others = protocols.filter((one) => !one.startsWith(protocolBegin));
  if (others.length === 0) delete request.headers['sec-websocket-protocol'];
  else request.headers['sec-websocket-protocol'] = others.join(', ');
  return token.slice(protocolBegin.length);
};

export const callerByToken = async (book: AccessBook, request: IncomingMessage, token: string): Promise<Caller> => {
  const found = tokenPattern.test(token) ? await book.token(hashOf(token)) : undefined;
  if (found === undefined) throw new Refusal(401, 'InvalidCredentials', 'The token is not valid, or no longer');
  const { account, user, token: used } = found;
  const caller = provedCaller(request, { account, user }, { type: 'token', keyId: `/${account.name}/tokens/${used.id}`, words: `token ${used.id}` });
  const stillHolds = async () => (await book.token(hashOf(token)))?.account.disabledAt === null;
  return { ...caller, stillHolds };
};
