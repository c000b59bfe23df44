/** What is served, and where. */
import { Type } from 'typebox';
import { endpoint } from '../endpoint.ts';
import { notFound } from '../refusal.ts';
import { versions } from '../version.ts';

const none = Type.Object({});
const urls = Type.Record(Type.String(), Type.String());

export const datacenterEndpoints = [
  endpoint({
    name: 'Ping',
    method: 'GET',
    path: '/--ping',
    open: true,
    parameters: none,
    answer: Type.Object({ ping: Type.Literal('pong'), cloudapi: Type.Object({ versions: Type.Array(Type.String()) }) }),
    handle: ({ datacenter }) => ({ body: { ping: 'pong', cloudapi: { versions } }, headers: { 'triton-datacenter-name': datacenter } }),
  }),
  endpoint({
    name: 'ListDatacenters',
    method: 'GET',
    path: '/:account/datacenters',
    parameters: none,
    answer: urls,
    handle: ({ datacenter, url }) => ({ body: { [datacenter]: url }, headers: { 'triton-datacenter-name': datacenter } }),
  }),
  endpoint({
    name: 'GetDatacenter',
    method: 'GET',
    path: '/:account/datacenters/:datacenter',
    status: 302,
    parameters: none,
    answer: Type.Object({ code: Type.Literal('ResourceMoved'), message: Type.String() }),
    handle: ({ datacenter, url, path, account }) => {
      if (path['datacenter'] !== datacenter) throw notFound('datacenter');
      const location = `${url}/${account.name}/datacenters/${datacenter}`;
      return { body: { code: 'ResourceMoved', message: location }, headers: { location: url } };
    },
  }),
  endpoint({
    name: 'ListServices',
    method: 'GET',
    path: '/:account/services',
    parameters: none,
    answer: urls,
    handle: ({ url }) => ({ body: { cloudapi: url } }),
  }),
];
