/** Accounts and their keys, as the operator has them. */
import { Type } from 'typebox';
import { Account, AccountKey, CreateAccount, CreateKey, CreateToken, MadeToken, Token, UpdateAccount } from '../../model/account.ts';
import { accountGet, accountList } from '../../store/account.ts';
import { keyDelete, keyList } from '../../store/key.ts';
import { accountCreate, accountDelete, accountDisable, accountEnable, accountUpdate, keyAdd } from '../app/account.ts';
import { tokenCreate } from '../app/token.ts';
import { tokenDelete, tokenList } from '../../store/token.ts';
import type { Control } from '../control.ts';
import { idParams } from './accepted.ts';
import { emptyBodyAllowed } from './server.ts';
import type { App } from './server.ts';

const tokenParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 512 }), token: Type.String() });
const keyParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 512 }), key: Type.String() });

export const accountRoutes = (app: App, control: Control): void => {
  const { store } = control;
  app.get('/v1/accounts', { schema: { response: { 200: Type.Array(Account) } } }, (request) => accountList(request.caller, store.db));

  app.post('/v1/accounts', { schema: { body: CreateAccount, response: { 201: Account } } }, async (request, reply) =>
    reply.code(201).send(await accountCreate(control, request.caller, request.body)),
  );

  app.get('/v1/accounts/:id', { schema: { params: idParams, response: { 200: Account } } }, (request) =>
    accountGet(request.caller, store.db, request.params.id),
  );

  app.post('/v1/accounts/:id/update', { schema: { params: idParams, body: UpdateAccount, response: { 200: Account } } }, (request) =>
    accountUpdate(control, request.caller, request.params.id, request.body),
  );

  app.post('/v1/accounts/:id/disable', { schema: { params: idParams, response: { 200: Account } } }, (request) =>
    accountDisable(control, request.caller, request.params.id),
  );

  app.post('/v1/accounts/:id/enable', { schema: { params: idParams, response: { 200: Account } } }, (request) =>
    accountEnable(control, request.caller, request.params.id),
  );

  app.delete('/v1/accounts/:id', { schema: { params: idParams } }, async (request, reply) => {
    await accountDelete(control, request.caller, request.params.id);
    return reply.code(204).send();
  });

  app.get('/v1/accounts/:id/keys', { schema: { params: idParams, response: { 200: Type.Array(AccountKey) } } }, async (request) => {
    const { id } = await accountGet(request.caller, store.db, request.params.id);
    return keyList(request.caller, store.db, id);
  });

  app.post('/v1/accounts/:id/keys', { schema: { params: idParams, body: CreateKey, response: { 201: AccountKey } } }, async (request, reply) =>
    reply.code(201).send(await keyAdd(control, request.caller, request.params.id, request.body)),
  );

  app.get('/v1/accounts/:id/tokens', { schema: { params: idParams, response: { 200: Type.Array(Token) } } }, async (request) => {
    const { id } = await accountGet(request.caller, store.db, request.params.id);
    return tokenList(request.caller, store.db, id, new Date().toISOString());
  });

  app.post(
    '/v1/accounts/:id/tokens',
    { schema: { params: idParams, body: CreateToken, response: { 201: MadeToken } }, preValidation: emptyBodyAllowed },
    async (request, reply) => reply.code(201).send(await tokenCreate(control, request.caller, request.params.id, request.body)),
  );

  app.delete('/v1/accounts/:id/tokens/:token', { schema: { params: tokenParams } }, async (request, reply) => {
    await store.transaction(async (db) => {
      const { id } = await accountGet(request.caller, db, request.params.id);
      await tokenDelete(request.caller, db, id, request.params.token);
    });
    return reply.code(204).send();
  });

  app.delete('/v1/accounts/:id/keys/:key', { schema: { params: keyParams } }, async (request, reply) => {
    await store.transaction(async (db) => {
      const { id } = await accountGet(request.caller, db, request.params.id);
      await keyDelete(request.caller, db, id, request.params.key);
    });
    return reply.code(204).send();
  });
};
