/** Images and platforms of the host. */
import { Type } from 'typebox';
import { abortOnClose } from '../../base/abort-on-close.ts';
import { requestInQuery } from '../../base/request-in-query.ts';
import { PlatformBuild } from '../../model/agent-api.ts';
import { CreateImage } from '../../model/control-api.ts';
import { Image, Platform } from '../../model/image.ts';
import { authorize } from '../../store/context.ts';
import { platformDelete } from '../app/image.ts';
import { imageGet, imageList, imageMake, imageRemove } from '../app/image-choice.ts';
import type { Control } from '../control.ts';
import { idParams } from './accepted.ts';
import type { App } from './server.ts';
import { acceptStreams } from './stream-routes.ts';
import { passThrough } from './through.ts';

export const imageRoutes = (app: App, control: Control): void => {
  const { catalog } = control;
  app.get('/v1/images', { schema: { response: { 200: Type.Array(Image) } } }, (request) => imageList(control, request.caller));

  app.get('/v1/images/:id', { schema: { params: idParams, response: { 200: Image } } }, (request) => imageGet(control, request.caller, request.params.id));

  app.delete('/v1/images/:id', { schema: { params: idParams } }, async (request, reply) => {
    await imageRemove(control, request.caller, request.params.id);
    return reply.code(204).send();
  });

  void app.register(async (scope) => {
    const uploads = scope as unknown as App;
    acceptStreams(uploads);
    uploads.post('/v1/images', { config: { query: ['request'] }, schema: { response: { 201: Image } } }, async (request, reply) => {
      const asked = requestInQuery(CreateImage, (request.query as URLSearchParams).get('request'));
      const image = await imageMake(control, request.caller, asked, request.raw, abortOnClose(reply.raw));
      return reply.code(201).send(image);
    });
  });

  app.get('/v1/platforms', { schema: { response: { 200: Type.Array(Platform) } } }, async (request) => {
    authorize(request.caller, 'read');
    return catalog.platforms();
  });

  app.post('/v1/platforms', { schema: { body: PlatformBuild } }, async (request, reply) => {
    authorize(request.caller, 'operate');
    try {
      await passThrough(control, request, reply, { method: 'POST', path: '/v1/platforms', json: request.body });
    } finally {
      catalog.invalidate();
    }
  });

  const platformParams = Type.Object({ name: Type.String(), version: Type.String() });
  app.delete('/v1/platforms/:name/:version', { schema: { params: platformParams } }, async (request, reply) => {
    await platformDelete(control, request.caller, request.params.name, request.params.version);
    return reply.code(204).send();
  });
};
