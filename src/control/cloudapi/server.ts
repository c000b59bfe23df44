/**
 * The HTTP server of CloudAPI: for each request a version, a caller, a bag of parameters, and then the endpoint's own function. What every
 * answer carries (dates, digests, ids) is put on here.
 */
import { hash, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { fastify, LogController } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../base/logger.ts';
import { messageChain } from '../../base/errors.ts';
import { shownUrl } from '../http/shown-url.ts';
import { authorise, resourceOf } from './access/authorise.ts';
import type { Answer, Edge, Endpoint } from './endpoint.ts';
import { taggable } from './endpoints/role-tag.ts';
import { callersOwn } from './own.ts';
import { openApiDocument } from './openapi.ts';
import { bagOf, readerOf } from './parameters.ts';
import type { Bag, Reader } from './parameters.ts';
import { isPresigned, presignedNames } from './presigned.ts';
import type { Rates } from './rates.ts';
import { notFound, Refusal, refusalOf } from './refusal.ts';
import type { Proofs } from './proofs.ts';
import type { Caller } from './caller.ts';
import { negotiator, versions } from './version.ts';
import type { ApiVersion } from './version.ts';

declare module 'fastify' {
  interface FastifyRequest {
    cloud: Cloud;
  }
}

interface Cloud {
  startedAt: number;
  version: ApiVersion;
  caller: Caller | undefined;
}

export interface CloudApiServerOptions {
  edge: Edge;
  logger: Logger;
  proofs: Proofs;
  perAccount: Rates;
  perAddress: Rates;
  endpoints: readonly Endpoint[];
  tls: { cert: string; key: string } | undefined;
}

const bodyLimit = 1024 * 1024;
const requestTimeoutMs = 30_000;
const mostConnections = 8192;
const headers = 'Accept, Accept-Version, Authorization, Content-MD5, Content-Type, Date, X-Api-Version, X-Auth-Token, X-Date';

const connections = {
  headersTimeout: requestTimeoutMs,
  // Who offers another protocol, as Java's client does with each request, is answered in this one.
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket',
};

export const createCloudApiServer = (options: CloudApiServerOptions): FastifyInstance => {
  const { logger, tls } = options;
  const server = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    // Uploads of our own API, which is on the same server, take longer: requests are timed one by one.
    requestTimeout: 0,
    forceCloseConnections: true,
    return503OnClosing: false,
    exposeHeadRoutes: true,
    genReqId: () => randomUUID(),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 512, querystringParser: (text: string) => new URLSearchParams(text) as never },
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => sendRefusal(logger, error, request, reply),
    clientErrorHandler: (_error: Error, socket: Socket) => {
      const body = '{"code":"BadRequest","message":"this is not a valid HTTP request"}';
      if (!socket.writable) return socket.destroy();
      return socket.end(`HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
    },
    ...(tls === undefined ? { http: connections } : { https: { ...tls, minVersion: 'TLSv1.2', ...connections } }),
  } as object) as unknown as FastifyInstance;
  server.server.maxConnections = mostConnections;
  server.decorateRequest('cloud');
  takeBodies(server);
  const negotiate = negotiator();
  server.addHook('onRequest', (request, reply, done) => {
    begin(negotiate, request, reply);
    endLate(request.raw);
    limit(reply, options.perAddress, request.socket.remoteAddress ?? '');
    done();
  });
  server.addHook('onSend', (request, reply, payload, done) => {
    done(null, finish(request, reply, payload));
  });
  server.setErrorHandler((error, request, reply) => sendRefusal(logger, error, request, reply));
  // What stands for any collection makes none of a path.
  const patterns = options.endpoints.filter(({ path }) => !path.includes(':collection')).map(({ method, path }) => ({ method, pattern: pathPattern(path) }));
  server.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?');
    const others = [...new Set(patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))];
    if (others.length === 0) return sendRefusal(logger, notFound(path.slice(0, 200)), request, reply);
    const allow = others.includes('GET') ? [...others, 'HEAD'] : others;
    if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow.join(', ')).send();
    const refusal = new Refusal(405, 'MethodNotAllowed', `${request.method} is not allowed here`, { headers: { allow: allow.join(', ') } });
    return sendRefusal(logger, refusal, request, reply);
  });
  const document = JSON.stringify(openApiDocument(options.endpoints));
  server.get('/--openapi', (_request, reply) => reply.header('content-type', 'application/json').send(document));
  for (const group of Map.groupBy(options.endpoints, ({ method, path }) => `${method} ${path}`).values()) addRoute(server, options, group);
  return server;
};

const endLate = (request: IncomingMessage): void => {
  if (request.complete || (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined)) return;
  const timer = setTimeout(() => request.socket.destroy(), requestTimeoutMs);
  request.once('close', () => clearTimeout(timer));
};

const pathPattern = (path: string): RegExp => new RegExp(`^${path.replaceAll(/:[a-z]+/g, '[^/]+')}/?$`);

const takeBodies = (server: FastifyInstance): void => {
  const json = server.getDefaultJsonParser('error', 'error');
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (text === '') done(null, undefined);
    else void json(request, text as string, done);
  });
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, text, done) => {
    done(null, bagOf(new URLSearchParams(text as string), undefined));
  });
};

const begin = (negotiate: ReturnType<typeof negotiator>, request: FastifyRequest, reply: FastifyReply): void => {
  const wanted = request.headers['accept-version'] ?? request.headers['x-api-version'] ?? request.headers['api-version'];
  const version = negotiate([wanted].flat()[0]);
  request.cloud = { startedAt: performance.now(), version: version ?? versions[0], caller: undefined };
  reply.headers({
    server: `cloudapi/${versions[0]}`,
    'api-version': request.cloud.version,
    'request-id': request.id,
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, HEAD, POST, PUT, DELETE, OPTIONS',
    'access-control-allow-headers': headers,
    'access-control-expose-headers': 'Api-Version, Content-MD5, Request-Id, Response-Time, X-Resource-Count, X-Query-Limit',
  });
  if (version === undefined) throw new Refusal(449, 'InvalidVersion', `none of ${versions.join(', ')} is in the range asked for`);
};

const limit = (reply: FastifyReply, rates: Rates, who: string): void => {
  const { allowed, remaining, waitSeconds } = rates.take(who);
  reply.headers({ 'x-ratelimit-limit': String(rates.limit), 'x-ratelimit-remaining': String(remaining) });
  if (!allowed) throw new Refusal(429, 'RequestThrottled', 'too many requests', { headers: { 'retry-after': String(waitSeconds) } });
};

const longText = 16 * 1024;

/** The digest is what clients compare the body with; a HEAD has that of the body that a GET would have had. */
const finish = (request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown => {
  // With a short text the socket makes one write of the head too; a long one would be made bytes of twice, for the digest and for the socket.
  const body = typeof payload === 'string' && payload.length > longText ? Buffer.from(payload) : payload;
  if (typeof body === 'string' || Buffer.isBuffer(body)) reply.header('content-md5', hash('md5', body, 'base64'));
  reply.header('response-time', String(Math.max(0, Math.round(performance.now() - (request.cloud?.startedAt ?? performance.now())))));
  return body;
};

interface Chosen {
  endpoint: Endpoint;
  read: Reader;
}

const addRoute = (server: FastifyInstance, options: CloudApiServerOptions, group: readonly Endpoint[]): void => {
  const [{ method, path, open }] = group as [Endpoint];
  const choices: Chosen[] = group.map((endpoint) => ({ endpoint, read: readerOf(endpoint) }));
  server.route({
    method,
    url: path,
    onRequest: async (request, reply) => {
      if (open) return;
      const caller = await options.proofs.callerOf(request.raw);
      limit(reply, options.perAccount, caller.account.id);
      callersOwn((request.params as { account?: string }).account, caller);
      request.cloud.caller = caller;
    },
    handler: async (request, reply) => {
      const query = request.query as URLSearchParams;
      if (isPresigned(request.raw)) for (const name of presignedNames) query.delete(name);
      const bag = bagOf(query, request.body);
      const { endpoint, read } = choose(choices, bag['action']);
      const caller = request.cloud.caller;
      const path = request.params as Record<string, string>;
      const visible =
        caller?.user === undefined ? undefined : await authorise({ ...askingOf(options, request, bag), ...caller, user: caller.user, endpoint, path });
      const { known, named } = read(bag, path);
      const answer = await endpoint.handle({
        ...options.edge,
        // An open endpoint has no caller, and asks for none.
        ...(caller as Caller),
        visible,
        path,
        parameters: known as never,
        body: (request.body ?? {}) as Record<string, unknown>,
        named,
        version: request.cloud.version,
        url: `${request.protocol}://${request.host}`,
        request: request.raw,
      });
      if (method === 'GET' && caller !== undefined) await tellRoles(options, caller, path, endpoint, reply);
      return send(reply, endpoint, answer);
    },
  });
};

const askingOf = ({ edge }: CloudApiServerOptions, request: FastifyRequest, bag: Bag) => {
  const asked = bag['as-role'];
  return {
    db: edge.control.store.db,
    book: edge.access,
    datacenter: edge.datacenter,
    request: request.raw,
    asRoles: typeof asked === 'string' && asked !== '' ? asked.split(',') : undefined,
  };
};

/** Which roles a resource is for stands in a header, where there are any. */
const tellRoles = async (
  { edge }: CloudApiServerOptions,
  { context }: Caller,
  path: Record<string, string>,
  endpoint: Endpoint,
  reply: FastifyReply,
): Promise<void> => {
  const resource = resourceOf(endpoint.path, path);
  if (!taggable.has(resource.split('/')[0]!)) return;
  const roles = await edge.access.rolesFor(context, resource);
  if (roles.length > 0) reply.header('role-tag', roles.map(({ name }) => name).join(','));
};

const choose = (choices: readonly Chosen[], action: unknown): Chosen => {
  const named = choices.filter(({ endpoint }) => endpoint.action !== undefined);
  const found = named.find(({ endpoint }) => endpoint.action === action) ?? choices.find(({ endpoint }) => endpoint.action === undefined);
  if (found !== undefined && (action === undefined || named.length === 0 || found.endpoint.action !== undefined)) return found;
  const known = named.map(({ endpoint }) => endpoint.action).join(', ');
  if (action === undefined)
    throw new Refusal(409, 'MissingParameter', `action is a required parameter`, {
      errors: [{ field: 'action', code: 'Missing', message: `one of ${known}` }],
    });
  throw new Refusal(409, 'InvalidArgument', `action: is none of ${known}`, { errors: [{ field: 'action', code: 'Invalid', message: `is none of ${known}` }] });
};

const send = (reply: FastifyReply, endpoint: Endpoint, answer: Answer): FastifyReply => {
  reply.code(answer.status ?? endpoint.status);
  if (answer.headers !== undefined) reply.headers(answer.headers);
  if (answer.text === undefined && answer.body === undefined) return reply.send('');
  return reply.header('content-type', 'application/json').send(answer.text ?? JSON.stringify(answer.body));
};

const sendRefusal = (logger: Logger, error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
  const refusal = refusalOf(error);
  if (refusal.status >= 500 && refusal.status !== 501) {
    const stack = error instanceof Error ? error.stack : undefined;
    logger.error({ reqId: request.id, method: request.method, url: shownUrl(request.url), error: messageChain(error), stack }, 'CloudAPI request failed');
  }
  void reply.code(refusal.status).headers(refusal.headers).header('content-type', 'application/json').send(JSON.stringify(refusal.toBody()));
};
