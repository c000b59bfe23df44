/** All machines of this host, and the requests that concern them: the agent's API, without HTTP. */
import { existsSync } from 'node:fs';
import { CenoteError } from '../base/errors.ts';
import type { MachineAction, MachineCreate, MachineResize, MachineUpdate } from '../model/agent-api.ts';
import { platformKey } from '../model/agent-api.ts';
import { checkResources } from '../model/check-resources.ts';
import { commandOf } from '../model/command.ts';
import type { MachineSpec, MachineStatus } from '../model/machine.ts';
import { checkNics, nicsOf, placesOfNics } from '../model/nics.ts';
import type { Nic } from '../model/network.ts';
import { refuseUnsupported } from '../model/resources.ts';
import type { Guarantees, PoolSize } from '../model/resources.ts';
import { Books } from './books.ts';
import type { Host } from './host.ts';
import { createMachine, deleteMachine } from './machine/create-delete.ts';
import { Machine } from './machine/machine.ts';
import type { MachineRecord } from './machine/record.ts';
import { resizeMachine } from './machine/resize.ts';
import { undoUpdate, updateMachine } from './machine/update.ts';
import type { NewCode } from './machine/update.ts';

export class Machines {
  readonly #host: Host;
  readonly #books: Books;
  readonly #byId = new Map<string, Machine>();
  readonly #addresses = new Map<string, string>();

  constructor(host: Host, pool: () => PoolSize) {
    this.#host = host;
    this.#books = new Books(pool);
  }

  get guaranteed(): Readonly<Guarantees> {
    return this.#books.taken;
  }

  get pool(): PoolSize {
    return this.#books.pool;
  }

  list(): MachineStatus[] {
    return [...this.#byId.values()].map((machine) => machine.status());
  }

  all(): Iterable<Machine> {
    return this.#byId.values();
  }

  get(id: string): Machine {
    const machine = this.#byId.get(id);
    if (machine === undefined) throw new CenoteError('not_found', `there is no machine ${id} on this host`);
    return machine;
  }

  find(id: string): Machine | undefined {
    return this.#byId.get(id);
  }

  /** From the journal, at start. */
  add(record: MachineRecord): Machine {
    const machine = new Machine(this.#host, record);
    this.#byId.set(machine.id, machine);
    for (const place of placesOf(record.spec)) this.#addresses.set(placeKey(place), machine.id);
    this.#books.enter(record.spec.resources);
    return machine;
  }

  async create(id: string, request: MachineCreate): Promise<MachineStatus> {
    if (request.spec.id !== id)
      throw new CenoteError('invalid_argument', 'spec.id is not the id in the path', {
        fields: [{ field: 'spec.id', message: 'must equal the id in the path' }],
      });
    const known = this.#byId.get(id);
    if (known !== undefined) return createMachine(known, request);
    const buried = this.#host.journal.tombstone(id);
    if (buried !== null && request.generation <= buried) throw new CenoteError('stale_generation', `machine ${id} was deleted at generation ${buried}`);
    checkResources(request.spec.resources);
    refuseUnsupported(request.spec.resources, this.#host.cgroups.unsupported);
    using held = this.#books.reserve(request.spec.resources);
    this.#demandPlaces(request.spec);
    if (request.desired === 'running') commandOf(request.spec);
    this.#demandSnapshot(request.fromSnapshot);
    if (request.adopt === true && !existsSync(this.#host.storage.volumePath(id)))
      throw new CenoteError('not_found', `the host does not know this machine, and has no data of it`);
    await this.#host.platforms.rootParts(request.spec.image, request.spec.platform);
    this.#host.network.demandReached(request.spec.publish, nicsOf(request.spec));
    await this.#host.network.checkPublish(request.spec.publish, nicsOf(request.spec));
    // Another request may have come while that was checked.
    const raced = this.#byId.get(id);
    if (raced !== undefined) return await createMachine(raced, request);
    const machine = this.add({
      spec: request.spec,
      generation: 0,
      outcome: null,
      // One that is taken over has its volume, which a failure to start must not cost.
      phase: request.adopt === true ? 'ready' : 'creating',
      desired: request.desired,
      createdAt: new Date().toISOString(),
      origin: request.fromSnapshot ?? null,
      slot: null,
      startedAt: null,
      exit: null,
      error: null,
      restarts: 0,
      freezeMs: {},
    });
    held[Symbol.dispose](); // from here on the machine itself is in the books
    try {
      return await createMachine(machine, request);
    } catch (error) {
      if (machine.record.phase === 'creating') {
        // Nothing was acknowledged and nothing is left: as if it had not been asked for.
        await deleteMachine(machine, machine.record.generation).catch(() => {});
        this.#remove(machine);
      }
      throw error;
    }
  }

  start(id: string, request: MachineAction): Promise<MachineStatus> {
    const machine = this.get(id);
    return machine.request(request.generation, 'provisioning', async () => {
      machine.record.desired = 'running';
      machine.forgetFailures();
      await machine.bootAsAsked();
    });
  }

  stop(id: string, request: MachineAction): Promise<MachineStatus> {
    const machine = this.get(id);
    return machine.request(request.generation, 'stopping', async () => {
      machine.record.desired = 'stopped';
      await machine.note();
      await machine.halt(request.graceSeconds ?? machine.spec.stopGraceSeconds);
      machine.record.error = null;
    });
  }

  restart(id: string, request: MachineAction): Promise<MachineStatus> {
    const machine = this.get(id);
    return machine.request(request.generation, 'stopping', async () => {
      // What cannot come up again is not ended.
      await this.#host.network.checkPublish(machine.spec.publish, nicsOf(machine.spec));
      machine.record.desired = 'running';
      machine.forgetFailures();
      await machine.note(); // so that recovery knows this end as asked for
      await machine.halt(request.graceSeconds ?? machine.spec.stopGraceSeconds);
      await undoUpdate(machine);
      await machine.bootAsAsked();
    });
  }

  resize({ id, generation, resources }: MachineResize): Promise<MachineStatus> {
    const machine = this.get(id);
    return machine.request(generation, null, async () => {
      // Two changes, each of which fits what the machine is, may not fit each other.
      checkResources(resources);
      refuseUnsupported(resources, this.#host.cgroups.unsupported);
      using reserved = this.#books.reserve(resources, machine.spec.resources);
      await resizeMachine(machine, resources);
      reserved.keep();
    });
  }

  /** Of its specification and, where there is any, with new code. */
  async update(id: string, request: MachineUpdate, code?: NewCode): Promise<MachineStatus> {
    const machine = this.get(id);
    if (request.spec.id !== id) throw new CenoteError('invalid_argument', 'the id of a machine cannot be changed');
    this.#demandPlaces(request.spec);
    if (JSON.stringify(request.spec.resources) !== JSON.stringify(machine.spec.resources))
      throw new CenoteError('invalid_argument', 'resources are changed by resize, not by update');
    // Taken before anything is done for it; what it has no more it gives up when that is done.
    for (const place of placesOf(request.spec)) this.#addresses.set(placeKey(place), id);
    try {
      return await updateMachine(machine, request, code);
    } finally {
      const kept = new Set(placesOf(machine.spec).map(placeKey));
      for (const [key, holder] of this.#addresses) if (holder === id && !kept.has(key)) this.#addresses.delete(key);
    }
  }

  rename(id: string, generation: number, name: string): Promise<MachineStatus> {
    const machine = this.get(id);
    return machine.request(generation, null, async () => {
      const former = machine.spec.name;
      machine.record.spec = { ...machine.spec, name };
      await machine.conclude();
      this.#host.events.emit('machine.renamed', id, `${former} is now called ${name}`, { from: former, to: name });
    });
  }

  async delete(id: string, generation: number): Promise<void> {
    const machine = this.#byId.get(id);
    if (machine === undefined) {
      // An order that comes late, or again. The tombstone keeps an older create from bringing it back. Data is there only when the journal was lost.
      await this.#host.journal.buryMachine(id, generation);
      await this.#host.storage.volumeDelete(id);
      return;
    }
    await deleteMachine(machine, generation);
    this.#remove(machine);
  }

  /** Names of machines that use an image, a platform version or a tree (by its id): asked before one is deleted. */
  usersOf(key: string): string[] {
    return [...this.#byId.values()]
      .filter(({ spec, record }) => spec.image.id === key || (spec.platform !== null && platformKey(spec.platform) === key) || liesOver(record, key))
      .map(({ spec }) => spec.name);
  }

  /** Before anything is accepted: who is told may ask again when the host knows more. */
  #demandPlaces(spec: MachineSpec): void {
    checkNics(spec);
    for (const place of placesOf(spec)) {
      if (!this.#host.network.knows(place.network)) throw new CenoteError('unavailable', `the host does not know the network ${place.network}`);
      const holder = this.#addresses.get(placeKey(place));
      if (holder !== undefined && holder !== spec.id)
        throw new CenoteError('in_use', `address ${place.address} belongs to machine ${holder}`, { fields: [{ field: 'spec.address', message: 'in use' }] });
    }
  }

  #demandSnapshot(from: MachineCreate['fromSnapshot']): void {
    if (from === undefined) return;
    const source = this.get(from.machine);
    if (!Object.hasOwn(source.record.freezeMs, from.name)) throw new CenoteError('not_found', `${source.spec.name} has no snapshot ${from.name}`);
  }

  #remove(machine: Machine): void {
    if (this.#byId.get(machine.id) !== machine) return;
    this.#byId.delete(machine.id);
    this.#host.names.gone(machine.id);
    for (const place of placesOf(machine.spec)) this.#addresses.delete(placeKey(place));
    this.#books.strike(machine.spec.resources);
  }
}

const placesOf = (spec: MachineSpec) => placesOfNics(nicsOf(spec));
const placeKey = ({ network, address }: Pick<Nic, 'network' | 'address'>): string => `${network} ${address}`;

/** Whether a run lies over the tree of this id, which is the last but one part of the tree's path. */
const liesOver = ({ slot, trees }: MachineRecord, id: string): boolean => slot !== null && trees?.some((path) => path.split('/').at(-2) === id) === true;
