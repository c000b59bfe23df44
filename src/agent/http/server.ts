/** The agent's HTTP server on its unix socket. File mode and group keep others out: root, and the control plane's own group. */
import { chmodSync, chownSync, rmSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { fastify } from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { CenoteError, asCenoteError, errorCodes, messageChain } from '../../base/errors.ts';
import type { ErrorBody } from '../../base/errors.ts';
import { requestSchemas } from '../../base/request-schemas.ts';
import type { PoolAmount } from '../../host/cgroup/cgroup.ts';
import type { BurstUsage } from '../../model/machine.ts';
import type { Host } from '../host.ts';
import type { FirewallRules } from '../firewall.ts';
import type { KnownFloating } from '../floating.ts';
import type { Machine } from '../machine/machine.ts';
import type { Machines } from '../machines.ts';
import type { KnownNetworks } from '../networks.ts';
import type { PoolPlan } from '../pool.ts';
import { execRoute } from './exec.ts';
import { imageRoutes } from './images.ts';
import { firewallRoutes } from './firewall.ts';
import { infoRoutes } from './info.ts';
import { machineRoutes } from './machines.ts';
import { networkRoutes } from './networks.ts';
import { machineDataRoutes } from './machine-data.ts';
import { nameRoutes } from './names.ts';
import { resizeRoutes } from './resizes.ts';

export interface AgentServerOptions {
  host: Host;
  machines: Machines;
  networks: KnownNetworks;
  floating: KnownFloating;
  firewall: FirewallRules;
  socketPath: string;
  /** Group that may connect, beside root. */
  socketGroup: number;
  instance: string;
  /** Of a machine with metered bursting that runs; null of any other. */
  burstUsage: (machine: Machine) => BurstUsage | null;
  startedAt: string;
  plan: () => PoolPlan;
  /** What the machines may use together now. */
  held: () => PoolAmount;
}

export type AgentRoutes = (app: FastifyInstance, options: AgentServerOptions) => void;

const bodyLimit = 4 * 1024 * 1024;

export interface AgentServer extends AsyncDisposable {
  /** From now on it is reached. */
  listen(): Promise<void>;
}

/** Whole but for its socket: what it compiles may take half a second. */
export const prepareServer = async (options: AgentServerOptions): Promise<AgentServer> => {
  const sendError = (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const known = fromFastify(error);
    if (known.code === 'internal') options.host.logger.error({ url: request.url, error: messageChain(error), stack: error.stack }, 'request failed');
    void reply.status(errorCodes[known.code].status).send(known.toBody());
  };
  const app = fastify({
    bodyLimit,
    // A path that is no path is refused before any route is looked for.
    frameworkErrors: (error, request, reply) => sendError(error, request as never, reply as never),
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    ...requestSchemas,
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setSerializerCompiler(() => JSON.stringify);
  app.addContentTypeParser('application/x-tar', (_request, payload, done) => done(null, payload));
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => {
    const body: ErrorBody = { code: 'not_found', message: `there is no ${request.method} ${request.url.slice(0, 200)}` };
    void reply.status(404).send(body);
  });
  for (const routes of [infoRoutes, machineRoutes, machineDataRoutes, resizeRoutes, imageRoutes, firewallRoutes, networkRoutes, nameRoutes])
    routes(app, options);
  const exec = execRoute(options);
  app.server.on('upgrade', exec.upgrade);
  await app.ready();
  const listen = async (): Promise<void> => {
    rmSync(options.socketPath, { force: true });
    await app.listen({ path: options.socketPath });
    chmodSync(options.socketPath, 0o660);
    chownSync(options.socketPath, 0, options.socketGroup);
  };
  return {
    listen,
    [Symbol.asyncDispose]: async () => {
      // What has left HTTP behind it would wait for, and not end.
      await exec[Symbol.asyncDispose]();
      await app.close();
    },
  };
};

const fromFastify = (error: FastifyError): CenoteError => {
  if (error instanceof CenoteError) return error;
  if (error.validation !== undefined) {
    const fields = error.validation.map((found) => ({
      field:
        [
          error.validationContext ?? 'body',
          ...found.instancePath.split('/').slice(1),
          ...(found.keyword === 'additionalProperties' ? [String(found.params['additionalProperty'])] : []),
        ]
          .slice(1)
          .join('.') || 'body',
      message: found.message ?? 'is not valid',
    }));
    return new CenoteError('invalid_argument', `${fields[0]!.field}: ${fields[0]!.message}`, { fields });
  }
  const status = error.statusCode ?? 500;
  if (status >= 400 && status < 500) return new CenoteError('invalid_argument', error.message || STATUS_CODES[status] || 'bad request');
  return asCenoteError(error);
};
