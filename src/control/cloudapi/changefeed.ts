/**
 * The changefeed: a WebSocket that tells an account's client which of its machines changed, in what, and how they now are. A client that does
 * not read is let go; it looks for itself when it comes again.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { answerInstead } from '../../base/answer-upgrade.ts';
import { messageChain } from '../../base/errors.ts';
import type { Machine } from '../../model/control-api.ts';
import { nicsOf } from '../../model/nics.ts';
import { deletedMachineFind } from '../../store/deleted-machine.ts';
import { machineList, machineShown } from '../../store/machine.ts';
import { authorise } from './access/authorise.ts';
import type { Edge } from './endpoint.ts';
import { viewOf } from './endpoints/machine.ts';
import type { Lasting } from './lasting.ts';
import type { Rates } from './rates.ts';
import { notFound, Refusal, refusalOf } from './refusal.ts';
import { isOurs } from './own-api.ts';
import { callersOwn } from './own.ts';
import type { Proofs } from './proofs.ts';
import type { Caller } from './caller.ts';
import { negotiate, versions } from './version.ts';
import type { ApiVersion } from './version.ts';
import { deletedMachineWire, machineWire } from './wire/machine.ts';

const subResources = ['alias', 'customer_metadata', 'destroyed', 'nics', 'owner_uuid', 'server_uuid', 'state', 'tags'] as const;
type SubResource = (typeof subResources)[number];

const Registration = Type.Object({
  resource: Type.Literal('vm'),
  subResources: Type.Array(Type.Enum(subResources), { minItems: 1, maxItems: subResources.length }),
  vms: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 1000 })),
});
const isRegistration = Compile(Registration);

const path = /^\/([^/?]{1,64})\/changefeed\/?(?:\?|$)/;
const registerWithinMs = 10_000;
const pingEveryMs = 30_000;
const mostOfAccount = 20;
const mostUnread = 4 * 1024 * 1024;
const largestMessage = 64 * 1024;
const pageSize = 1000;

/** What a change is told of; compared with what was told before. */
const factsOf = (machine: Machine): Record<Exclude<SubResource, 'owner_uuid' | 'server_uuid' | 'destroyed'>, string> => ({
  alias: machine.name,
  customer_metadata: JSON.stringify(machine.metadata ?? {}),
  nics: JSON.stringify(nicsOf(machine)),
  state: machine.state,
  tags: JSON.stringify(machine.tags),
});

export interface ChangefeedOptions {
  edge: Edge;
  proofs: Proofs;
  lasting: Lasting;
  perAccount: Rates;
  perAddress: Rates;
}

export const serveChangefeed = (server: Server, options: ChangefeedOptions): AsyncDisposable => {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: largestMessage, perMessageDeflate: false });
  const open = new Map<string, Set<WebSocket>>();
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (isOurs(request.url)) return;
    socket.on('error', () => socket.destroy());
    accept(options, request, open).then(
      ({ caller, version }) =>
        sockets.handleUpgrade(request, socket, head, (session) => {
          const own = open.get(caller.account.id) ?? new Set();
          open.set(caller.account.id, own.add(session));
          session.on('close', () => own.delete(session));
          feed(options.edge, caller, version, session);
        }),
      (error: unknown) => refuse(socket, refusalOf(error)),
    );
  };
  server.on('upgrade', onUpgrade);
  return {
    [Symbol.asyncDispose]: async () => {
      server.off('upgrade', onUpgrade);
      for (const sessions of open.values()) for (const session of sessions) session.terminate();
    },
  };
};

const take = (rates: Rates, who: string): void => {
  const { allowed, waitSeconds } = rates.take(who);
  if (!allowed) throw new Refusal(429, 'RequestThrottled', 'too many requests', { headers: { 'retry-after': String(waitSeconds) } });
};

const accept = async (
  { edge, proofs, lasting, perAccount, perAddress }: ChangefeedOptions,
  request: IncomingMessage,
  open: ReadonlyMap<string, ReadonlySet<WebSocket>>,
) => {
  take(perAddress, request.socket.remoteAddress ?? '');
  const match = path.exec(request.url ?? '');
  if (match === null || request.method !== 'GET') throw notFound('WebSocket');
  const caller = await proofs.callerOf(request);
  take(perAccount, caller.account.id);
  callersOwn(match[1], caller);
  await admit(edge, caller, request);
  if ((open.get(caller.account.id)?.size ?? 0) >= mostOfAccount)
    throw new Refusal(429, 'RequestThrottled', `an account has at most ${mostOfAccount} changefeeds`, { headers: { 'retry-after': '30' } });
  const version = negotiate([request.headers['accept-version']].flat()[0]) ?? versions[0];
  lasting.hold(request.socket, async () => (await caller.stillHolds()) && (await isAdmitted(edge, caller, request)));
  return { caller, version };
};

const admit = async ({ control, access, datacenter }: Edge, { context, user }: Caller, request: IncomingMessage): Promise<void> => {
  if (user === undefined) return;
  await authorise({
    db: control.store.db,
    book: access,
    context,
    user,
    endpoint: { name: 'ChangeFeed', path: '/:account/changefeed', method: 'GET' },
    path: {},
    asRoles: undefined,
    datacenter,
    request,
  });
};

const isAdmitted = (...asking: Parameters<typeof admit>): Promise<boolean> =>
  admit(...asking).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Refusal) return false;
      throw error;
    },
  );

const refuse = (socket: Duplex, refusal: Refusal): void =>
  answerInstead(socket, refusal.status, refusal.toBody(), { 'content-type': 'application/json', ...refusal.headers });

const feed = (edge: Edge, caller: Caller, version: ApiVersion, session: WebSocket): void => {
  let alive = true;
  const late = setTimeout(() => session.close(1008, 'no registration came'), registerWithinMs);
  const ping = setInterval(() => {
    if (!alive) session.terminate();
    alive = false;
    session.ping();
  }, pingEveryMs);
  session.on('pong', () => (alive = true));
  session.on('error', () => session.terminate());
  session.on('close', () => {
    clearTimeout(late);
    clearInterval(ping);
  });
  session.once('message', (data, isBinary) => {
    clearTimeout(late);
    const asked = isBinary ? undefined : registrationOf((data as Buffer).toString());
    if (asked === undefined) return session.close(1008, 'this is not a registration');
    const follower = new Follower(edge, caller, version, session, asked);
    session.on('close', () => follower[Symbol.dispose]());
    return undefined;
  });
};

const registrationOf = (text: string) => {
  try {
    const value: unknown = JSON.parse(text);
    return isRegistration.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** One registered client: what it was told of each machine, and which are to be looked at again. */
class Follower implements Disposable {
  readonly #edge: Edge;
  readonly #caller: Caller;
  readonly #version: ApiVersion;
  readonly #session: WebSocket;
  readonly #wanted: ReadonlySet<string>;
  readonly #only: ReadonlySet<string> | undefined;
  readonly #told = new Map<string, ReturnType<typeof factsOf>>();
  readonly #dirty = new Set<string>();
  readonly #listening: Disposable;
  #working: Promise<void>;

  constructor(edge: Edge, caller: Caller, version: ApiVersion, session: WebSocket, asked: { subResources: readonly string[]; vms?: readonly string[] }) {
    this.#edge = edge;
    this.#caller = caller;
    this.#version = version;
    this.#session = session;
    this.#wanted = new Set(asked.subResources);
    this.#only = asked.vms === undefined ? undefined : new Set(asked.vms);
    // Listened to before what there is is read, so that nothing falls in between.
    this.#listening = edge.control.changes.listen((machine) => this.#changed(machine));
    this.#working = this.#guarded(() => this.#remember());
  }

  #changed(machine: string | null): void {
    if (machine === null) for (const id of this.#told.keys()) this.#dirty.add(id);
    else if (this.#only === undefined || this.#only.has(machine)) this.#dirty.add(machine);
    this.#working = this.#working.then(() => this.#guarded(() => this.#look()));
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#edge.control.logger.warn({ account: this.#caller.account.name, error: messageChain(error) }, 'a changefeed ends');
      this.#session.close(1011, 'try again');
    }
  }

  async #remember(): Promise<void> {
    const { db } = this.#edge.control.store;
    for (let offset = 0; ; offset += pageSize) {
      const machines = await machineList(this.#caller.context, db, { tags: [], limit: pageSize, offset });
      for (const machine of machines) this.#told.set(machine.id, factsOf(machine));
      if (machines.length < pageSize) return;
    }
  }

  async #look(): Promise<void> {
    const { db } = this.#edge.control.store;
    for (const id of this.#dirty) {
      this.#dirty.delete(id);
      const found = await machineShown(this.#caller.context, db, id);
      if (found !== undefined) await this.#tell(found);
      else if (this.#told.has(id)) await this.#tellGone(id);
    }
  }

  async #tell(machine: Machine): Promise<void> {
    const [before, now] = [this.#told.get(machine.id), factsOf(machine)];
    this.#told.set(machine.id, now);
    const names = Object.keys(now) as (keyof typeof now)[];
    const changed: SubResource[] = before === undefined ? [...names, 'owner_uuid', 'server_uuid'] : names.filter((name) => before[name] !== now[name]);
    this.#send(machine.id, changed, machineWire(machine, await this.#view()));
  }

  async #tellGone(id: string): Promise<void> {
    this.#told.delete(id);
    const gone = await deletedMachineFind(this.#caller.context, this.#edge.control.store.db, id);
    if (gone !== undefined) this.#send(id, ['state', 'destroyed'], deletedMachineWire(gone.machine, gone.deletedAt, await this.#view()));
  }

  #view() {
    return viewOf({ ...this.#edge, context: this.#caller.context, version: this.#version });
  }

  #send(id: string, changed: readonly SubResource[], resourceObject: { state: string }): void {
    const told = changed.filter((name) => this.#wanted.has(name));
    if (told.length === 0) return;
    if (this.#session.bufferedAmount > mostUnread) {
      this.#session.terminate();
      return;
    }
    this.#session.send(
      JSON.stringify({
        changeKind: { resource: 'vm', subResources: told },
        changedResourceId: id,
        published: String(Date.now()),
        resourceState: resourceObject.state,
        resourceObject,
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}
