/** Names in the DNS: what they are, and how the datacenter's own server fares. */
import { Type } from 'typebox';
import { dataText } from '../../dns/record.ts';
import { DnsStatus, NameRecord } from '../../model/names-api.ts';
import { authorize } from '../../store/context.ts';
import { machineGet, machineListAccount } from '../../store/machine.ts';
import type { Control } from '../control.ts';
import type { App } from './server.ts';

/** What the control plane can say of itself does not wait long for what the host says. */
const hostMs = 3000;

export const dnsRoutes = (app: App, control: Control): void => {
  const { store, names, agent, link } = control;

  app.get('/v1/dns', { schema: { response: { 200: DnsStatus } } }, async (request) => {
    authorize(request.caller, 'operate');
    const host = link.inStep ? await agent.names({ signal: AbortSignal.timeout(hostMs) }).catch(() => null) : null;
    return { ...names.status, resolver: host?.resolver ?? null };
  });

  app.get('/v1/names', { config: { query: ['machine'] }, schema: { response: { 200: Type.Array(NameRecord) } } }, async (request) => {
    const one = (request.query as URLSearchParams).get('machine');
    const machines = one === null ? await machineListAccount(request.caller, store.db) : [(await machineGet(request.caller, store.db, one)).machine];
    return machines.flatMap((machine) =>
      names.recordsOf(machine).map(({ name, ttl, data }) => ({ name, ttl, type: data.type, value: dataText(data), machine: machine.id })),
    );
  });
};
