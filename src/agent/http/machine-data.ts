/** What is inside machines: use, processes, output, files, snapshots. */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Type } from 'typebox';
import { abortOnClose } from '../../base/abort-on-close.ts';
import { CenoteError, invalid } from '../../base/errors.ts';
import { jsonLine, jsonLinesType } from '../../base/json-lines.ts';
import { requestInQuery } from '../../base/request-in-query.ts';
import { Generation, MachineUpdate, SnapshotCreate } from '../../model/agent-api.ts';
import type { MachineUsage } from '../../model/machine.ts';
import { copyIn, copyOut } from '../machine/files.ts';
import { machineUsage } from '../machine/usage.ts';
import { machineProcesses } from '../machine/processes.ts';
import { createSnapshot, deleteSnapshot, listSnapshots, rollbackSnapshot, snapshotNames } from '../machine/snapshots.ts';
import type { AgentRoutes } from './server.ts';

const params = Type.Object({ id: Type.String({ format: 'uuid' }) });
type ById = { Params: { id: string } };
type ByName = { Params: { id: string; name: string } };
type WithPath = ById & { Querystring: { path?: string } };

const pathOf = (query: { path?: string }): string => {
  const { path } = query;
  if (path === undefined || !path.startsWith('/') || path.length > 4096 || path.includes('\0'))
    throw invalid('path', 'must be an absolute path inside the machine');
  return path;
};

export const machineDataRoutes: AgentRoutes = (app, { host, machines, burstUsage }) => {
  app.get<ById>('/v1/machines/:id/usage', { schema: { params } }, async ({ params: { id } }): Promise<MachineUsage> => {
    return machineUsage(host, machines.get(id), burstUsage);
  });

  app.get<ById>('/v1/machines/:id/processes', { schema: { params } }, async ({ params: { id } }) => machineProcesses(machines.get(id)));

  app.get<ById & { Querystring: { follow?: string; tail?: string } }>('/v1/machines/:id/logs', { schema: { params } }, (request, reply) => {
    const machine = machines.get(request.params.id);
    const { follow, tail } = request.query;
    if (tail !== undefined && !/^\d{1,9}$/.test(tail)) throw invalid('tail', 'must be a number of lines');
    const signal = abortOnClose(reply.raw);
    const lines = async function* () {
      yield '\n';
      for await (const line of host.runtime.logs(machine.id, { follow: follow === 'true', tail: tail === undefined ? null : Number(tail), signal }))
        yield jsonLine(line);
    };
    return reply.type(jsonLinesType).send(Readable.from(lines()));
  });

  app.get<WithPath>('/v1/machines/:id/files', { schema: { params } }, async (request, reply) => {
    const path = pathOf(request.query);
    await copyOut(
      machines.get(request.params.id),
      path,
      async (archive) => {
        reply.hijack();
        reply.raw.writeHead(200, { 'content-type': 'application/x-tar' });
        // A failure midway can only be told by breaking the stream off.
        await pipeline(archive, reply.raw).catch((error: Error) => {
          if (error instanceof CenoteError) host.logger.info({ machine: request.params.id, error: error.message }, 'copy out broke off');
          reply.raw.destroy();
        });
      },
      abortOnClose(reply.raw),
    );
    return reply;
  });

  app.put<WithPath & { Body: Readable }>('/v1/machines/:id/files', { schema: { params }, bodyLimit: Number.MAX_SAFE_INTEGER }, async (request, reply) => {
    const path = pathOf(request.query);
    if (!(request.body instanceof Readable)) throw invalid('body', 'must be a tar archive (content type application/x-tar)');
    await copyIn(machines.get(request.params.id), path, request.body, abortOnClose(reply.raw));
    if (!request.body.readableEnded && !request.body.destroyed) await once(request.body.resume(), 'close');
    return reply.status(204).send();
  });

  app.put<ById & { Querystring: { request?: string }; Body: unknown }>(
    '/v1/machines/:id/code',
    { schema: { params }, bodyLimit: Number.MAX_SAFE_INTEGER },
    async ({ params: { id }, query, body }, reply) => {
      const content = body instanceof Readable ? body : null;
      try {
        return await machines.update(id, requestInQuery(MachineUpdate, query.request), { content, signal: abortOnClose(reply.raw) });
      } finally {
        content?.resume();
      }
    },
  );

  app.get<ById>('/v1/machines/:id/snapshots', { schema: { params } }, async ({ params: { id } }) => listSnapshots(machines.get(id)));
  app.get<ById>('/v1/machines/:id/snapshot-names', { schema: { params } }, async ({ params: { id } }) => snapshotNames(machines.get(id)));
  app.post<ById & { Body: SnapshotCreate }>('/v1/machines/:id/snapshots', { schema: { params, body: SnapshotCreate } }, ({ params: { id }, body }) =>
    createSnapshot(machines.get(id), body.name),
  );
  app.delete<ByName>('/v1/machines/:id/snapshots/:name', { schema: { params } }, async ({ params: { id, name } }, reply) => {
    await deleteSnapshot(machines.get(id), name);
    return reply.status(204).send();
  });
  app.post<ByName & { Body: { generation: number } }>(
    '/v1/machines/:id/snapshots/:name/rollback',
    { schema: { params, body: Generation } },
    ({ params: { id, name }, body }) => rollbackSnapshot(machines.get(id), body.generation, name),
  );
};
