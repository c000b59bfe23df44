/** Images and platforms of this host. */
import { PassThrough, Readable } from 'node:stream';
import { abortOnClose } from '../../base/abort-on-close.ts';
import { asCenoteError, invalid } from '../../base/errors.ts';
import { jsonLine, jsonLinesType } from '../../base/json-lines.ts';
import { requestInQuery } from '../../base/request-in-query.ts';
import { ImageCreate, PlatformBuild } from '../../model/agent-api.ts';
import type { Progress } from '../../model/agent-api.ts';
import { checkHealthcheck } from '../../model/image.ts';
import { checkSignal } from '../../model/signal.ts';
import type { ImageContent } from '../../host/platform/platform.ts';
import { withPlainRoot } from '../machine/files.ts';
import type { AgentRoutes } from './server.ts';

export const imageRoutes: AgentRoutes = (app, { host, machines }) => {
  app.get('/v1/images', () => host.platforms.imageList());

  app.post<{ Querystring: { request?: string }; Body: unknown }>('/v1/images', { bodyLimit: Number.MAX_SAFE_INTEGER }, async (request, reply) => {
    const wanted = requestInQuery(ImageCreate, request.query.request);
    checkSignal('config.StopSignal', wanted.config.StopSignal ?? '');
    checkHealthcheck('config', wanted.config);
    const gone = abortOnClose(reply.raw);
    const create = (content: ImageContent) => host.platforms.imageCreate(wanted, content, gone);
    const { fromMachine, fromImage } = wanted;
    if (fromMachine !== undefined && fromImage !== undefined) throw invalid('fromImage', 'is not together with fromMachine');
    const given = (): ImageContent => (fromImage === undefined ? { tar: request.body instanceof Readable ? request.body : emptyBody() } : { image: fromImage });
    const image = await (fromMachine === undefined ? create(given()) : withPlainRoot(machines.get(fromMachine), (directory) => create({ directory })));
    host.events.emit('image.created', image.id, `image ${image.name} was created`);
    return image;
  });

  app.delete<{ Params: { id: string } }>('/v1/images/:id', async ({ params: { id } }, reply) => {
    await host.platforms.imageDelete(id);
    host.events.emit('image.deleted', id, `image ${id} was deleted`);
    return reply.status(204).send();
  });

  app.get('/v1/platforms', () => host.platforms.platformList());

  app.post<{ Body: PlatformBuild }>('/v1/platforms', { schema: { body: PlatformBuild } }, (request, reply) => {
    const gone = abortOnClose(reply.raw);
    const lines = new PassThrough();
    const tell = (progress: Progress) => void lines.write(jsonLine(progress));
    host.platforms
      .platformBuild(request.body, tell, gone)
      .then((platform) => {
        host.events.emit('platform.built', platform.name, `platform ${platform.name}@${platform.version} was built`);
        tell({ message: `built ${platform.name}@${platform.version}`, platform });
      })
      .catch((error: unknown) => {
        const { code, message } = asCenoteError(error).toBody();
        tell({ message, error: { code, message } });
      })
      .finally(() => lines.end());
    return reply.type(jsonLinesType).send(lines);
  });

  app.delete<{ Params: { name: string; version: string } }>('/v1/platforms/:name/:version', async ({ params }, reply) => {
    await host.platforms.platformDelete(params);
    return reply.status(204).send();
  });
};

const emptyBody = (): never => {
  throw invalid('body', 'must be a tar archive (content type application/x-tar), or name a machine in fromMachine or an image in fromImage');
};
