/** Floating addresses. What is asked is in force when it is answered. */
import { Type } from 'typebox';
import { AttachFloatingAddress, CreateFloatingAddress, FloatingAddress } from '../../model/network-api.ts';
import { floatingAttach, floatingCreate, floatingDetach, floatingRemove, floatingShow, floatingsShow } from '../app/floating.ts';
import type { Control } from '../control.ts';
import { emptyBodyAllowed } from './server.ts';
import type { App } from './server.ts';

const params = Type.Object({ address: Type.String({ minLength: 1, maxLength: 64 }) });

export const floatingRoutes = (app: App, control: Control): void => {
  const one = { params, response: { 200: FloatingAddress } };
  app.get('/v1/floating-addresses', { schema: { response: { 200: Type.Array(FloatingAddress) } } }, (request) => floatingsShow(control, request.caller));
  app.post('/v1/floating-addresses', { schema: { body: CreateFloatingAddress, response: { 201: FloatingAddress } } }, async (request, reply) =>
    reply.code(201).send(await floatingCreate(control, request.caller, request.body)),
  );
  app.get('/v1/floating-addresses/:address', { schema: one }, (request) => floatingShow(control, request.caller, request.params.address));
  app.post('/v1/floating-addresses/:address/attach', { schema: { ...one, body: AttachFloatingAddress } }, (request) =>
    floatingAttach(control, request.caller, request.params.address, request.body.machine),
  );
  app.post(
    '/v1/floating-addresses/:address/detach',
    { schema: { ...one, body: Type.Object({}, { additionalProperties: false }) }, preValidation: emptyBodyAllowed },
    (request) => floatingDetach(control, request.caller, request.params.address),
  );
  app.delete('/v1/floating-addresses/:address', { schema: { params } }, async (request, reply) => {
    await floatingRemove(control, request.caller, request.params.address);
    return reply.code(204).send();
  });
};
