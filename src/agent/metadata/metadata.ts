/**
 * Machines' metadata, read and changed from inside. One socket serves all machines, in a directory that each has bound read-only at `/.zonecontrol`:
 * who is calling the kernel says, since no two machines share a user id. A machine that does not ask costs nothing.
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { asCenoteError, messageChain } from '../../base/errors.ts';
import { slotOf } from '../../host/sandbox/slots.ts';
import type { Metadata } from '../../model/machine.ts';
import { checkMetadataSize, hostNamespace, isInternal, mergeNamed } from '../../model/metadata.ts';
import type { MetadataChange } from '../../model/metadata.ts';
import { metadataNamePattern } from '../../model/names.ts';
import { peerUidOf } from '../../sys/peer.ts';
import type { Host } from '../host.ts';
import type { Machine } from '../machine/machine.ts';
import type { Machines } from '../machines.ts';
import { Allowance, Held, connectionsPerMachine, cost, idleMs } from './bounds.ts';
import { converse } from './conversation.ts';
import type { Listener } from './conversation.ts';
import { metadataDirectory } from './directory.ts';
import type { Answer, Question } from './frame.ts';
import { listKeys, readKey } from './view.ts';
import type { Place } from './view.ts';

const keyPattern = new RegExp(metadataNamePattern);
const socketName = 'metadata.sock';

interface Caller {
  allowance: Allowance;
  connections: number;
  /** Of its writes one is under way at a time, so that it cannot fill its own queue. */
  writing: Promise<unknown>;
}

export class MetadataServer implements AsyncDisposable {
  readonly #host: Host;
  readonly #machines: Machines;
  readonly #place: Place;
  readonly #server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  readonly #sockets = new Set<Socket>();
  readonly #held = new Held();
  readonly #callers = new Map<string, Caller>();
  /** Which machine last had the slot; looked at again each time. */
  readonly #bySlot = new Map<number, string>();

  private constructor(host: Host, machines: Machines, datacenter: string) {
    this.#host = host;
    this.#machines = machines;
    this.#place = { datacenter, network: host.network };
  }

  static async start(host: Host, machines: Machines, datacenter: string): Promise<MetadataServer> {
    const server = new MetadataServer(host, machines, datacenter);
    const directory = metadataDirectory(host);
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    const path = join(directory, socketName);
    rmSync(path, { force: true });
    server.#server.listen({ path, backlog: 1024 });
    await once(server.#server, 'listening');
    // Root inside is nobody outside, and which of its users may ask is not the host's business.
    chmodSync(path, 0o666);
    return server;
  }

  #accept(socket: Socket): void {
    const machine = this.#callerOf(socket);
    if (machine === undefined) {
      socket.destroy();
      return;
    }
    const caller = this.#callers.get(machine.id) ?? { allowance: new Allowance(), connections: 0, writing: Promise.resolve() };
    this.#callers.set(machine.id, caller);
    if (caller.connections >= connectionsPerMachine || caller.allowance.spend(cost.read) > 0) {
      socket.destroy();
      return;
    }
    caller.connections += 1;
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      caller.connections -= 1;
      this.#sockets.delete(socket);
      if (caller.connections === 0 && caller.allowance.isFull) this.#callers.delete(machine.id);
    });
    socket.setTimeout(idleMs, () => socket.destroy());
    void converse(socket, this.#listener(machine, caller)).then(
      () => socket.end(),
      () => socket.destroy(),
    );
  }

  #listener(machine: Machine, caller: Caller): Listener {
    return {
      held: this.#held,
      delayMs: (what) => caller.allowance.spend(what === 'piece' ? cost.piece : what.kind === 'put' || what.kind === 'delete' ? cost.write : cost.read),
      answer: (question) => this.#answer(machine, caller, question),
    };
  }

  async #answer(machine: Machine, caller: Caller, question: Question): Promise<Answer> {
    switch (question.kind) {
      case 'get':
        return readKey(machine.spec, this.#place, question.key);
      case 'keys':
        return listKeys(machine.spec);
      case 'put':
        return this.#write(machine, caller, question.key, { mode: 'merge', values: { [question.key]: question.value } });
      case 'delete':
        return this.#write(machine, caller, question.key, { mode: 'remove', names: [question.key] });
      case 'unknown':
        return { kind: 'failure', why: question.why };
      case 'negotiate':
        return { kind: 'success' };
    }
  }

  async #write(machine: Machine, caller: Caller, key: string, change: MetadataChange): Promise<Answer> {
    const why = whyNotWritten(key, change);
    if (why !== null) return { kind: 'failure', why };
    const before = caller.writing;
    const writing = before.then(() => changeFromInside(machine, key, change));
    caller.writing = writing.catch(() => undefined);
    try {
      await writing;
      return { kind: 'success' };
    } catch (error) {
      const known = asCenoteError(error);
      if (known.code === 'internal') this.#host.logger.error({ machine: machine.id, error: messageChain(error) }, 'metadata from inside could not be kept');
      return { kind: 'failure', why: known.message };
    }
  }

  /** The slot of its user's range, and who runs in that now. */
  #callerOf(socket: Socket): Machine | undefined {
    let slot: number | null;
    try {
      slot = slotOf(peerUidOf(socket));
    } catch {
      return undefined; // it is gone
    }
    if (slot === null) return undefined;
    const known = this.#machines.find(this.#bySlot.get(slot) ?? '');
    if (known?.record.slot === slot) return known;
    for (const machine of this.#machines.all()) {
      if (machine.record.slot !== slot) continue;
      this.#bySlot.set(slot, machine.id);
      return machine;
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

const whyNotWritten = (key: string, change: MetadataChange): string | null => {
  if (!keyPattern.test(key)) return 'a key has letters, digits and _ . : @ -, at most 256';
  if (key.startsWith(hostNamespace) || isInternal(key)) return `${key.startsWith(hostNamespace) ? 'sdc:' : '_pw'} keys are read-only`;
  if (change.mode === 'merge' && Object.values(change.values).some((value) => value.includes('\0'))) return 'a value has a NUL character';
  return null;
};

/** Durable, and told: the control plane takes it over by the event. Nothing happens for what is so already. */
const changeFromInside = (machine: Machine, key: string, change: MetadataChange): Promise<void> =>
  machine.turn(async () => {
    const { host, record } = machine;
    const before: Metadata = record.spec.metadata ?? {};
    const had = Object.hasOwn(before, key);
    if (change.mode === 'remove' ? !had : had && before[key] === change.values[key]) return;
    record.spec = { ...record.spec, metadata: checkMetadataSize(mergeNamed(before, change)) };
    await machine.save();
    const what = change.mode === 'remove' ? 'deleted' : 'set';
    host.events.emit('machine.metadata', machine.id, `${machine.spec.name} ${what} its metadata ${key}`, { key, change: what });
  });
