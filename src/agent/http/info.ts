/** What the agent is, what the pool is, and what happens. */
import { readFileSync } from 'node:fs';
import { availableParallelism, hostname, release, totalmem } from 'node:os';
import { Readable } from 'node:stream';
import { abortOnClose } from '../../base/abort-on-close.ts';
import { jsonLine, jsonLinesType } from '../../base/json-lines.ts';
import type { AgentInfo } from '../../model/agent-api.ts';
import { poolStatus } from '../pool.ts';
import type { AgentRoutes } from './server.ts';

const version = (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

export const infoRoutes: AgentRoutes = (app, { host, machines, instance, startedAt, plan, held, burstUsage }) => {
  app.get('/v1/info', async (): Promise<AgentInfo> => {
    const { usedMib } = await host.storage.capacity();
    const { pool } = machines;
    const all = [...machines.all()];
    return {
      version,
      instance,
      startedAt,
      host: { name: hostname(), kernel: release(), cpus: availableParallelism(), memoryMib: Math.floor(totalmem() / 2 ** 20), cgroup: host.cgroups.layout },
      pool: { ...pool, diskUsedMib: usedMib },
      held: held(),
      guaranteed: { ...machines.guaranteed },
      unsupported: [...host.cgroups.unsupported],
      storage: host.storage.features,
      network: { subnet: host.network.subnet, gateway: host.network.gateway, uplinks: host.network.uplinks(), wires: host.network.wires() },
      machines: { total: all.length, running: all.filter((machine) => machine.run !== null).length },
    };
  });

  app.get('/v1/pool', () => poolStatus(host, machines, plan(), burstUsage));

  app.get<{ Querystring: { after?: string } }>('/v1/events', (request, reply) => {
    const gone = abortOnClose(reply.raw);
    const after = /^\d{1,15}$/.test(request.query.after ?? '') ? Number(request.query.after) : 0;
    const lines = async function* () {
      // An empty line at once tells the client that it is being followed.
      yield '\n';
      for await (const events of host.events.follow(after, gone)) yield events.map(jsonLine).join('');
    };
    return reply.type(jsonLinesType).send(Readable.from(lines()));
  });
};
