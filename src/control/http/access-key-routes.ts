/** Access keys of an account, or with `user` of one of its users. */
import { Type } from 'typebox';
import { AccessKey, AccessKeyWish, MadeAccessKey } from '../../model/access-key.ts';
import { accessKeyCreate, accessKeyDelete, accessKeyList, accessKeyUpdate } from '../app/access-key.ts';
import type { HolderNames } from '../app/access-key.ts';
import type { Control } from '../control.ts';
import { idParams } from './accepted.ts';
import { emptyBodyAllowed } from './server.ts';
import type { App } from './server.ts';

const keyParams = Type.Object({ ...idParams.properties, key: Type.String() });
const config = { query: ['user'] } as const;

const holderOf = ({ params, query }: { params: { id: string }; query: unknown }): HolderNames => ({
  account: params.id,
  user: (query as URLSearchParams).get('user') ?? undefined,
});

export const accessKeyRoutes = (app: App, control: Control): void => {
  app.get('/v1/accounts/:id/accesskeys', { config, schema: { params: idParams, response: { 200: Type.Array(AccessKey) } } }, (request) =>
    accessKeyList(control, request.caller, holderOf(request)),
  );

  app.post(
    '/v1/accounts/:id/accesskeys',
    { config, schema: { params: idParams, body: AccessKeyWish, response: { 201: MadeAccessKey } }, preValidation: emptyBodyAllowed },
    async (request, reply) => reply.code(201).send(await accessKeyCreate(control, request.caller, holderOf(request), request.body)),
  );

  app.post('/v1/accounts/:id/accesskeys/:key/update', { config, schema: { params: keyParams, body: AccessKeyWish, response: { 200: AccessKey } } }, (request) =>
    accessKeyUpdate(control, request.caller, holderOf(request), request.params.key, request.body),
  );

  app.delete('/v1/accounts/:id/accesskeys/:key', { config, schema: { params: keyParams } }, async (request, reply) => {
    await accessKeyDelete(control, request.caller, holderOf(request), request.params.key);
    return reply.code(204).send();
  });
};
