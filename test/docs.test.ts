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
import { errorCodes } from '../src/base/errors.ts';
import { endpoints } from '../src/control/cloudapi/endpoints/all.ts';
import { openApiDocument } from '../src/control/cloudapi/openapi.ts';
import { accountRoutes } from '../src/control/http/account-routes.ts';
import { backupRoutes } from '../src/control/http/backup-routes.ts';
import { Callers } from '../src/control/http/caller.ts';
import { dnsRoutes } from '../src/control/http/dns-routes.ts';
import { firewallRoutes } from '../src/control/http/firewall-routes.ts';
import { imageRoutes } from '../src/control/http/image-routes.ts';
import { machineRoutes } from '../src/control/http/machine-routes.ts';
import { networkRoutes } from '../src/control/http/network-routes.ts';
import { otherRoutes } from '../src/control/http/other-routes.ts';
import { packageRoutes } from '../src/control/http/package-routes.ts';
import { createServer } from '../src/control/http/server.ts';
import type { Route } from '../src/control/http/server.ts';
import { snapshotRoutes } from '../src/control/http/snapshot-routes.ts';
import { streamRoutes } from '../src/control/http/stream-routes.ts';
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
  for (const add of [
    machineRoutes,
    streamRoutes,
    snapshotRoutes,
    imageRoutes,
    packageRoutes,
    accountRoutes,
    backupRoutes,
    firewallRoutes,
    dnsRoutes,
    networkRoutes,
    otherRoutes,
  ])
    add(app, nothing);
  await app.ready();
  return routes.map(({ method, url }) => `${method} ${url}`).toSorted();
};

const agentRoutes = async (): Promise<string[]> => {
  const routes: string[] = [];
  await using app: FastifyInstance = fastify({ exposeHeadRoutes: false });
  app.addHook('onRoute', ({ method, url }) => void routes.push(...[method].flat().map((one) => `${one} ${url}`)));
  for (const add of [infoRoutes, agentMachines, machineDataRoutes, agentImages, agentFirewall, agentNetworks, agentNames]) add(app, nothing);
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
