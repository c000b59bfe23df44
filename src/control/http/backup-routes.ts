/** Copies of the store, for the operator: made while it is used, and put back. */
import { RestoredBackup } from '../../model/control-api.ts';
import { backupCreate, backupRestore } from '../../store/backup/backup.ts';
import type { Control } from '../control.ts';
import type { App } from './server.ts';
import { acceptStreams } from './stream-routes.ts';
import { sendStream } from './through.ts';

/** Nobody can use the store while a copy is put back: who sends one must send it. */
const stalledMs = 30_000;

export const backupRoutes = (app: App, control: Control): void => {
  app.get('/v1/backup', (request, reply) => sendStream(reply, backupCreate(request.caller, control.store), 200, { 'content-type': 'application/gzip' }));

  void app.register(async (scope) => {
    const uploads = scope as unknown as App;
    acceptStreams(uploads);
    uploads.put('/v1/backup', { schema: { response: { 200: RestoredBackup } } }, async (request, reply) => {
      const { raw } = request;
      raw.setTimeout(stalledMs, () => raw.destroy(new Error(`nothing came for ${stalledMs / 1000} s`)));
      const restored = await backupRestore(request.caller, control.store, raw);
      control.logger.warn({ ...restored, actor: request.caller.actor }, 'the store was put back from a copy');
      // Everything here knows what was before; the next process begins with what there is now.
      reply.raw.on('close', () => control.beginAnew());
      return reply.header('connection', 'close').send(restored);
    });
  });
};
