/** Who calls: the user at the other end of the unix socket, and whether that is an administrator. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { defaultAccount } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { peerOf } from '../../sys/peer.ts';
import type { UserNames } from '../../sys/peer.ts';
import type { CenoteError } from '../../base/errors.ts';
import type { Door } from './server.ts';

export class Callers implements Door {
  readonly #adminGids: ReadonlySet<number>;
  readonly #names: UserNames;
  readonly #known = new WeakMap<Socket, RequestContext>();

  constructor(adminGids: readonly number[], names: UserNames) {
    this.#adminGids = new Set(adminGids);
    this.#names = names;
  }

  /** The same for all requests of a connection. */
  callerOf({ socket }: IncomingMessage): RequestContext {
    const known = this.#known.get(socket);
    if (known !== undefined) return known;
    const { uid, gids } = peerOf(socket);
    const name = this.#names.userName(uid);
    const groups = name === undefined ? gids : [...gids, ...this.#names.groupsOfUser(name)];
    const administrator = uid === 0 || groups.some((gid) => this.#adminGids.has(gid));
    const context: RequestContext = {
      account: defaultAccount,
      actor: name === undefined ? `uid:${uid}` : `uid:${uid} (${name})`,
      role: administrator ? 'administrator' : 'stranger',
    };
    this.#known.set(socket, context);
    return context;
  }

  admit(context: RequestContext): RequestContext {
    return context;
  }

  ownQuery(): readonly string[] {
    return [];
  }

  /** Whoever is on the host may know what is said of it. */
  told(error: CenoteError): CenoteError {
    return error;
  }
}
