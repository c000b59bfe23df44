/** Packages. What is done with them is done when the request is answered. */
import { isDeepStrictEqual } from 'node:util';
import { Type } from 'typebox';
import { checkResources } from '../../model/check-resources.ts';
import { CreatePackage, UpdatePackage } from '../../model/control-api.ts';
import { checkResourceName } from '../../model/names.ts';
import { defaultResources } from '../../model/default-resources.ts';
import { Package } from '../../model/resources.ts';
import { authorize } from '../../store/context.ts';
import { packageAppend, packageCreate, packageDelete, packageGet, packageList } from '../../store/package.ts';
import type { Control } from '../control.ts';
import { booleanOf } from './query.ts';
import type { App } from './server.ts';

const nameParams = Type.Object({ name: Type.String() });

export const packageRoutes = (app: App, { store }: Control): void => {
  app.get('/v1/packages', { config: { query: ['versions'] }, schema: { response: { 200: Type.Array(Package) } } }, (request) =>
    packageList(request.caller, store.db, booleanOf(request.query as URLSearchParams, 'versions')),
  );

  app.post('/v1/packages', { schema: { body: CreatePackage, response: { 201: Package } } }, async (request, reply) => {
    const name = checkResourceName('name', request.body.name);
    const resources = checkResources({ ...defaultResources, ...request.body.resources });
    const createdAt = new Date().toISOString();
    return reply.code(201).send(await store.transaction((db) => packageCreate(request.caller, db, { name, resources, createdAt })));
  });

  app.get('/v1/packages/:name', { schema: { params: nameParams, response: { 200: Package } } }, (request) =>
    packageGet(request.caller, store.db, request.params.name),
  );

  app.post('/v1/packages/:name/update', { schema: { params: nameParams, body: UpdatePackage, response: { 200: Package } } }, (request) =>
    store.transaction(async (db) => {
      authorize(request.caller, 'operate');
      const name = checkResourceName('name', request.params.name);
      const newest = await packageGet(request.caller, db, name);
      const resources = checkResources({ ...newest.resources, ...request.body.resources });
      if (isDeepStrictEqual(resources, newest.resources)) return newest;
      return packageAppend(request.caller, db, { name, version: newest.version + 1, resources, createdAt: new Date().toISOString() });
    }),
  );

  app.delete('/v1/packages/:name', { schema: { params: nameParams } }, async (request, reply) => {
    await store.transaction((db) => packageDelete(request.caller, db, request.params.name));
    return reply.code(204).send();
  });
};
