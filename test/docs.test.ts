/** docs/api.md against the code: every error code with its numbers, every route that the two servers register, and none that they do not. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { firewallRoutes as agentFirewall } from '../src/agent/http/firewall.ts';
import { imageRoutes as agentImages } from '../src/agent/http/images.ts';
import { infoRoutes } from '../src/agent/http/info.ts';
import { networkRoutes as agentNetworks } from '../src/agent/http/networks.ts';
import { machineDataRoutes } from '../src/agent/http/machine-data.ts';
import { machineRoutes as agentMachines } from '../src/agent/http/machines.ts';
import { nameRoutes as agentNames } from '../src/agent/http/names.ts';
import { resizeRoutes } from '../src/agent/http/resizes.ts';
import { errorCodes } from '../src/base/errors.ts';
import { endpoints } from '../src/control/cloudapi/endpoints/all.ts';
import { openApiDocument } from '../src/control/cloudapi/openapi.ts';
import { addRoutes } from '../src/control/http/all-routes.ts';
import { Callers } from '../src/control/http/caller.ts';
import { createServer } from '../src/control/http/server.ts';
import type { Route } from '../src/control/http/server.ts';
import { UserNames } from '../src/sys/peer.ts';

const document = readFileSync(join(import.meta.dirname, '../docs/api.md'), 'utf8');

/** Rows that begin with a method and a path, below the heading. */
const documented = (heading: string): string[] => {
  const section = document.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  return [...section.matchAll(/^\| `((?:GET|POST|PUT|DELETE) \/v1[^`]*)` \|/gm)].map(([, route]) => route!).toSorted();
};

/** Registering routes touches nothing of what they will work with. */
const nothing = {} as never;

const controlRoutes = async (): Promise<string[]> => {
  const routes: Route[] = [];
  await using app = createServer(pino({ level: 'silent' }), new Callers([], new UserNames()), routes);
  addRoutes(app, nothing);
  await app.ready();
  return routes.map(({ method, url }) => `${method} ${url}`).toSorted();
};

const agentRoutes = async (): Promise<string[]> => {
  const routes: string[] = [];
  await using app: FastifyInstance = fastify({ exposeHeadRoutes: false });
  app.addHook('onRoute', ({ method, url }) => void routes.push(...[method].flat().map((one) => `${one} ${url}`)));
  for (const add of [infoRoutes, agentMachines, machineDataRoutes, agentImages, agentFirewall, agentNetworks, agentNames, resizeRoutes]) add(app, nothing);
  await app.ready();
  // Not a route of the server's: an Upgrade, see src/agent/http/exec.ts.
  return [...routes, 'GET /v1/machines/:id/exec'].toSorted();
};

test('docs/api.md has the routes of the control plane', async () => assert.deepEqual(documented('Control plane'), await controlRoutes()));

test('docs/api.md has the routes of the agent', async () => assert.deepEqual(documented('Agent'), await agentRoutes()));

test('docs/openapi.json is what the server serves', () => {
  const committed = JSON.parse(readFileSync(join(import.meta.dirname, '../docs/openapi.json'), 'utf8')) as unknown;
  // Written anew with: node tools/openapi.ts
  assert.deepEqual(committed, JSON.parse(JSON.stringify(openApiDocument(endpoints))));
});

test('docs/api.md has every error code with its status and exit', () => {
  const rows = [...document.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \| (\d+) \|/gm)].map(([, code, status, exit]) => [code, Number(status), Number(exit)]);
  assert.deepEqual(
    rows,
    Object.entries(errorCodes).map(([code, { status, exit }]) => [code, status, exit]),
  );
});
