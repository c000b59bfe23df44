/**
 * The HTTP server: who calls is known before anything is read, unknown parameters and fields are refused, every error is an ErrorBody.
 * Schemas check what comes in and document what goes out; answers are written by JSON.stringify, which is much faster than by schema.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fastify, LogController } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { Logger } from '../../base/logger.ts';
import { CenoteError, invalid, messageChain } from '../../base/errors.ts';
import { requestSchemas } from '../../base/request-schemas.ts';
import { authorize } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { publicError, statusOf } from './errors.ts';
import { checkQueryNames } from './query.ts';
import { shownUrl } from './shown-url.ts';

declare module 'fastify' {
  interface FastifyRequest {
    caller: RequestContext;
  }
  interface FastifyContextConfig {
    /** Names of query parameters that the route takes. */
    query?: readonly string[];
  }
}

export type App = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, Logger, TypeBoxTypeProvider>;

/** What the server answers to, for documentation and for tests that go through all of it. */
export interface Route {
  method: string;
  url: string;
  /** Schema of the JSON body. */
  body: unknown;
  query: readonly string[];
}

/** How it is found out who calls, and what whoever it is may be told of an error. */
export interface Door {
  /** Throws for whoever may not come in. `answer` is absent where there will be a WebSocket. */
  callerOf(request: IncomingMessage, answer?: ServerResponse): RequestContext | Promise<RequestContext>;
  told(error: CenoteError): CenoteError;
  /** Whether whoever calls may come by this route, such as `GET /v1/machines/:id`, and with what bounds. */
  admit(context: RequestContext, request: IncomingMessage, route: string, id: string | undefined): RequestContext | Promise<RequestContext>;
  /** Names of query parameters that proved who calls, and are no route's. */
  ownQuery(request: IncomingMessage): readonly string[];
}

const jsonLimit = 1024 * 1024;

export const createServer = (logger: Logger, door: Door, routes: Route[]): App => {
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: jsonLimit,
    forceCloseConnections: true,
    return503OnClosing: false,
    exposeHeadRoutes: false,
    ...requestSchemas,
    routerOptions: { maxParamLength: 512, querystringParser: (text) => new URLSearchParams(text) as never },
    frameworkErrors: (error, request, reply) => sendError(logger, door, error, request, reply as never),
    clientErrorHandler: (_error, socket) => {
      const body = JSON.stringify(new CenoteError('invalid_argument', 'this is not a valid HTTP request').toBody());
      if (socket.writable)
        socket.end(
          `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
        );
      else socket.destroy();
    },
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as App;
  app.setSerializerCompiler(() => JSON.stringify);
  app.addHook('onRoute', ({ method, url, schema, config }) => {
    for (const one of [method].flat()) routes.push({ method: one, url, body: schema?.body, query: config?.query ?? [] });
  });
  app.decorateRequest('caller');
  app.addHook('onRequest', async (request, reply) => {
    request.caller = await door.callerOf(request.raw, reply.raw);
    authorize(request.caller, 'read');
    if (!request.is404) {
      const { id } = request.params as { id?: string };
      request.caller = await door.admit(request.caller, request.raw, `${request.method} ${request.routeOptions.url}`, id);
    }
    const query = request.query as URLSearchParams;
    for (const name of door.ownQuery(request.raw)) query.delete(name);
    if (!request.is404) checkQueryNames(query, request.routeOptions.config.query ?? []);
  });
  app.addHook('preValidation', (request, _reply, done) => {
    const { body } = request as { body: unknown };
    const empty = body === undefined || body === null || (typeof body === 'object' && Object.keys(body).length === 0);
    if (!empty && request.routeOptions.schema?.body === undefined) throw invalid('body', 'nothing is taken here');
    done();
  });
  const plain = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') done(null, undefined);
    else void plain(request, text as string, done);
  });
  app.setErrorHandler((error, request, reply) => sendError(logger, door, error, request, reply as never));
  app.setNotFoundHandler((request, reply) => {
    sendError(logger, door, new CenoteError('not_found', `there is no ${request.method} ${request.url.split('?')[0]!.slice(0, 200)}`), request, reply);
  });
  return app;
};

/** An action's body may be left out. */
export const emptyBodyAllowed = (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
  request.body ??= {};
  done();
};

const sendError = (logger: Logger, door: Door, error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
  const known = publicError(error);
  const status = statusOf(known);
  if (status >= 500 && status !== 501) {
    logger.error(
      {
        reqId: request.id,
        method: request.method,
        url: shownUrl(request.url),
        error: messageChain(error),
        stack: error instanceof Error ? error.stack : undefined,
        ...known.context,
      },
      'request failed',
    );
  }
  void reply
    .code(status)
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify(door.told(known).toBody()));
};
