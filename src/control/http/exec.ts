/** `exec`: the client's Upgrade request is passed to the agent, and from then on bytes both ways, unread. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { answerInstead } from '../../base/answer-upgrade.ts';
import { CenoteError } from '../../base/errors.ts';
import { proxyUpgrade } from '../../client/upgrade.ts';
import { authorize } from '../../store/context.ts';
import { machineMade } from '../app/made.ts';
import type { Control } from '../control.ts';
import { publicError, statusOf } from './errors.ts';
import type { Door } from './server.ts';
import { whileAnswering } from './through.ts';

const execPath = /^\/v1\/machines\/([^/?]{1,512})\/exec(\?|$)/;

/** `isOurs` says of which paths, where others take the upgrades of all the rest. */
export const serveExec = (server: Server, control: Control, door: Door, isOurs: (url: string | undefined) => boolean = () => true): AsyncDisposable => {
  const open = new Set<Duplex>();
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (!isOurs(request.url)) return;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    exec(control, door, request, socket, head).catch((thrown: unknown) => {
      const error = door.told(publicError(thrown));
      answerInstead(socket, statusOf(error), error.toBody());
    });
  };
  server.on('upgrade', onUpgrade);
  return {
    [Symbol.asyncDispose]: async () => {
      server.off('upgrade', onUpgrade);
      for (const socket of open) socket.destroy();
    },
  };
};

const exec = async (control: Control, door: Door, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
  const context = await door.callerOf(request);
  authorize(context, 'write');
  const match = execPath.exec(request.url ?? '');
  if (match === null || request.method !== 'GET') throw new CenoteError('not_found', 'only exec can be upgraded to a WebSocket');
  const id = decoded(match[1]!);
  await door.admit(context, request, 'GET /v1/machines/:id/exec', id);
  const { machine } = await machineMade(context, control.store.db, id);
  await whileAnswering(control.link, (answering) => proxyUpgrade(control.agent.http, `/v1/machines/${machine.id}/exec`, request, socket, head, answering));
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new CenoteError('invalid_argument', 'the path is not valid');
  }
};
