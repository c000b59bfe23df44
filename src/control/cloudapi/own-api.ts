/**
 * Our own API on CloudAPI's port, beneath `/v1/`: for the command line of whoever holds an account's key. `v1` is too short for the name of an
 * account, so nothing of CloudAPI is there. Who calls is proved by the same signatures and counted by the same rates.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { CenoteError } from '../../base/errors.ts';
import type { ErrorCode } from '../../base/errors.ts';
import { shortfallTold } from '../../model/admission.ts';
import type { RequestContext } from '../../store/context.ts';
import type { Control } from '../control.ts';
import { machineFind } from '../../store/machine.ts';
import { addRoutes } from '../http/all-routes.ts';
import { serveExec } from '../http/exec.ts';
import { createServer } from '../http/server.ts';
import type { Door, Route } from '../http/server.ts';
import { authorise } from './access/authorise.ts';
import { grantedOf, isForAnyUser } from './access/own-routes.ts';
import type { Caller } from './caller.ts';
import type { Edge } from './endpoint.ts';
import { isPresigned, presignedNames } from './presigned.ts';
import type { Lasting } from './lasting.ts';
import type { Rates } from './rates.ts';
import { Refusal } from './refusal.ts';
import type { Proofs } from './proofs.ts';

export interface OwnApiOptions {
  edge: Edge;
  proofs: Proofs;
  lasting: Lasting;
  perAccount: Rates;
  perAddress: Rates;
}

/** An upload may take any time, as long as something comes. */
const stalledMs = 60_000;

/** Whether a path is of our own API, and nothing of CloudAPI's. */
export const isOurs = (url: string | undefined): boolean => url !== undefined && /^\/v1(?:[/?]|$)/.test(url);

/** Takes what is ours of a server that others serve too. */
export const serveOwnApi = async (server: Server, control: Control, options: OwnApiOptions, routes: Route[]): Promise<AsyncDisposable> => {
  await using stack = new AsyncDisposableStack();
  const door = new SignedDoor(options);
  const app = createServer(control.logger, door, routes);
  stack.defer(() => app.close());
  addRoutes(app, control);
  await app.ready();
  const others = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!isOurs(request.url)) return others.forEach((serve) => serve(request, response));
    endStalled(request);
    app.routing(request, response);
  });
  stack.use(serveExec(server, control, door, isOurs));
  const running = stack.move();
  return { [Symbol.asyncDispose]: () => running.disposeAsync() };
};

const endStalled = (request: IncomingMessage): void => {
  const { socket } = request;
  if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) return;
  const end = () => request.destroy(new Error(`nothing came for ${stalledMs / 1000} s`));
  const stop = () => void socket.setTimeout(0).off('timeout', end);
  socket.setTimeout(stalledMs).on('timeout', end);
  request.once('end', stop).once('close', stop);
};

const codes: Readonly<Record<number, ErrorCode>> = { 401: 'unauthorized', 403: 'forbidden', 429: 'too_busy' };

const asOurs = (error: unknown): never => {
  throw error instanceof Refusal ? new CenoteError(codes[error.status] ?? 'invalid_argument', error.message) : error;
};

class SignedDoor implements Door {
  readonly #options: OwnApiOptions;
  readonly #callers = new WeakMap<IncomingMessage, Caller>();

  constructor(options: OwnApiOptions) {
    this.#options = options;
  }

  async callerOf(request: IncomingMessage, answer?: ServerResponse): Promise<RequestContext> {
    const { proofs, perAccount, perAddress } = this.#options;
    answer?.setHeader('date', new Date().toUTCString());
    limit(perAddress, request.socket.remoteAddress ?? '', answer);
    const caller = await proofs.callerOf(request).catch(asOurs);
    limit(perAccount, caller.account.id, answer);
    this.#callers.set(request, caller);
    return caller.context;
  }

  /** A request may stream for hours: what let it in is asked again when it may have changed. */
  async admit(context: RequestContext, request: IncomingMessage, route: string, id: string | undefined): Promise<RequestContext> {
    const bounds = await this.#bounds(context, request, route, id);
    const caller = this.#callers.get(request)!;
    const mayStay = async () => (await caller.stillHolds()) && (await this.#isAdmitted(context, request, route, id));
    // Whoever takes away what lets him in himself is still answered.
    if (!route.includes(' /v1/accounts')) this.#options.lasting.hold(request.socket, mayStay);
    return bounds;
  }

  #isAdmitted(...asking: Parameters<SignedDoor['admit']>): Promise<boolean> {
    return this.#bounds(...asking).then(
      () => true,
      (error: unknown) => {
        if (error instanceof CenoteError && error.code === 'forbidden') return false;
        throw error;
      },
    );
  }

  /** Users of the account: what its roles and policies grant them. */
  async #bounds(context: RequestContext, request: IncomingMessage, route: string, id: string | undefined): Promise<RequestContext> {
    const { user } = context;
    if (user === undefined || isForAnyUser(route)) return context;
    const granted = grantedOf(route);
    const { control, access, datacenter } = this.#options.edge;
    const { db } = control.store;
    // Roles are tagged on machines by id; whoever says a name means the same.
    const machine = id === undefined ? undefined : ((await machineFind(context, db, id))?.machine.id ?? 'none');
    const visible = await authorise({
      db,
      book: access,
      context,
      user,
      endpoint: { name: granted?.action ?? 'Nothing', path: granted?.about ?? '/:account', method: 'GET' },
      path: machine === undefined ? {} : { machine },
      asRoles: undefined,
      datacenter,
      request,
    }).catch((error: unknown): never => {
      // Without the machine's id, which a name does not give away.
      throw error instanceof Refusal
        ? new CenoteError('forbidden', `no role of yours that is active grants this (${granted?.action.toLowerCase() ?? route})`)
        : error;
    });
    if (visible === undefined) return context;
    if (granted === undefined) throw new CenoteError('forbidden', "this is for the account's own key, and its administrators");
    return { ...context, visible };
  }

  ownQuery(request: IncomingMessage): readonly string[] {
    return isPresigned(request) ? presignedNames : [];
  }

  /** Of the host, which is everyone's, no figures, and none of its paths. */
  told(error: CenoteError): CenoteError {
    if (error.code === 'not_enough') return new CenoteError('not_enough', shortfallTold, { advice: 'ask for less, or later' });
    if (error.code === 'unavailable') return new CenoteError('unavailable', 'the host cannot do this at the moment', { advice: 'try again later' });
    return error;
  }
}

const limit = (rates: Rates, who: string, answer: ServerResponse | undefined): void => {
  const { allowed, remaining, waitSeconds } = rates.take(who);
  answer?.setHeader('x-ratelimit-limit', rates.limit).setHeader('x-ratelimit-remaining', remaining);
  if (allowed) return;
  answer?.setHeader('retry-after', waitSeconds);
  throw new CenoteError('too_busy', 'too many requests', { advice: `try again in ${waitSeconds} s` });
};
