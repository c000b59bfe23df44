/**
 * An agent without a host: the agent's API over a unix socket with machines in memory, for tests of the control plane. It keeps the contract
 * on generations, numbers its events, and fails on demand: before or after an action is done, by refusing, by dropping the connection or by
 * never answering.
 */
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { CenoteError, errorCodes } from '../../src/base/errors.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { jsonLine, jsonLinesType } from '../../src/base/json-lines.ts';
import type { AgentInfo, ImageCreate, MachineCreate, MachineResize, MachineUpdate } from '../../src/model/agent-api.ts';
import type { Event } from '../../src/model/event.ts';
import { externalNetwork, nicsOf } from '../../src/model/nics.ts';
import type { FloatingState, NetworkDefinition } from '../../src/model/network.ts';
import type { Image, Platform } from '../../src/model/image.ts';
import type { MachineSpec, MachineStatus, MachineUsage, Snapshot } from '../../src/model/machine.ts';
import type { NamesTold } from '../../src/model/names-api.ts';
import { SimulatedFirewall } from './simulated-firewall.ts';
import { networkUsageOf, poolOf, usageOf } from './simulated-pool.ts';
import type { SimulatedPool } from './simulated-pool.ts';
import { mergeNamed } from '../../src/model/metadata.ts';
import { noGuarantees } from '../../src/model/resources.ts';
import type { PoolSize, Unsupported } from '../../src/model/resources.ts';
import { baseImage, clash, hostPlatform, later, outcomeOf, platformsAtFirst, start, statusOf, stop, systemImage } from './simulated-content.ts';
import type { Held } from './simulated-content.ts';
import { echo, requestOf, sendFile, sendLogs, sizeOf, textOf } from './simulated-streams.ts';
import type { StreamCounters } from './simulated-streams.ts';

export type Fault =
  | { kind: 'refuse'; code: ErrorCode; message: string }
  /** The connection ends before or after the action was done. */
  | { kind: 'drop'; when: 'before' | 'after' }
  | { kind: 'silence' }
  | { kind: 'delay'; until: Promise<unknown> };

export interface AgentCall {
  method: string;
  path: string;
}

export interface SimulatedAgentOptions {
  subnet?: string;
  gateway?: string;
  pool?: Omit<PoolSize, 'networkMbps'> & Partial<PoolSize>;
  unsupported?: Unsupported[];
}

export class SimulatedAgent implements AsyncDisposable, StreamCounters {
  readonly machines = new Map<string, Held>();
  readonly images = new Map<string, Image>([baseImage, systemImage].map((image) => [image.id, image]));
  readonly platforms = platformsAtFirst();
  /** What machines are said to use, by id. */
  readonly usages = new Map<string, Partial<MachineUsage>>();
  readonly firewall = new SimulatedFirewall();
  names: NamesTold = { accounts: [] };
  readonly networks = new Map<string, NetworkDefinition>();
  readonly floating = new Map<string, FloatingState>();
  readonly events: Event[] = [];
  /** Every call that came, in order. */
  readonly calls: AgentCall[] = [];
  /** What PUT files received, by machine and path. */
  readonly received = new Map<string, number>();
  /** Machines made more often than once: must stay empty. */
  readonly doubled: string[] = [];
  readonly pool: SimulatedPool['pool'] = { looks: 0, diskUsedMib: 500 };
  readonly options: Required<SimulatedAgentOptions>;
  /** Looked at for each call; the first fault is used. */
  fault: (call: AgentCall) => Fault | undefined = () => undefined;
  /** Bytes of files handed to the connection. */
  written = 0;
  /** Streams cut short by the caller. */
  cancelled = 0;
  readonly #socketPath: string;
  readonly #followers = new Set<ServerResponse>();
  readonly #sockets = new Set<Duplex>();
  readonly #exec = new WebSocketServer({ noServer: true });
  #server: Server | undefined;

  constructor(socketPath: string, options: SimulatedAgentOptions = {}) {
    this.#socketPath = socketPath;
    this.options = {
      unsupported: [],
      subnet: '10.77.0.0/16',
      gateway: '10.77.0.1',
      pool: { cpuMillis: 2_000_000, memoryMib: 4_000_000, diskMib: 40_000_000 },
      ...options,
    };
  }

  async start(): Promise<void> {
    rmSync(this.#socketPath, { force: true });
    const server = createServer((request, response) => void this.#serve(request, response));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    server.listen(this.#socketPath);
    await once(server, 'listening');
    this.#server = server;
  }

  /** As a killed process: every connection ends at once; the machines stay. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#followers.clear();
    await closed;
    rmSync(this.#socketPath, { force: true });
  }

  emit(type: string, subject: string, message: string, detail: Record<string, unknown> = {}): void {
    const event: Event = { sequence: this.events.length + 1, at: new Date().toISOString(), type, subject, message, detail };
    this.events.push(event);
    const held = this.machines.get(subject);
    if (held !== undefined) held.status.sequence = event.sequence;
    for (const follower of this.#followers) follower.write(jsonLine(event));
  }

  /** A machine ends by itself. */
  exit(id: string, code: number): void {
    const { status } = this.machines.get(id)!;
    status.state = 'stopped';
    status.exit = { code, signal: null, outOfMemory: false, at: new Date().toISOString(), reason: `exited with code ${code}` };
    this.emit('machine.exited', id, status.exit.reason);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://agent');
    const call = { method: request.method!, path: url.pathname };
    this.calls.push(call);
    const fault = this.fault(call);
    try {
      if (fault?.kind === 'silence') return;
      if (fault?.kind === 'delay') await fault.until;
      if (fault?.kind === 'refuse') throw new CenoteError(fault.code, fault.message);
      if (fault?.kind === 'drop' && fault.when === 'before') {
        request.socket.destroy();
        return;
      }
      await this.#route(call, url, request, response, () => fault?.kind === 'drop');
    } catch (error) {
      const known = error instanceof CenoteError ? error : new CenoteError('internal', String(error));
      if (!response.headersSent) response.writeHead(errorCodes[known.code].status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(known.toBody()));
    }
  }

  async #route(call: AgentCall, url: URL, request: IncomingMessage, response: ServerResponse, drop: () => boolean): Promise<void> {
    const [, resource, id = '', verb, name = '', last] = url.pathname.slice(1).split('/').map(decodeURIComponent);
    const answerText = (text: string | undefined, status: number): void => {
      if (drop()) {
        request.socket.destroy();
        return;
      }
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(text);
    };
    const answer = (value: unknown, status = 200): void => answerText(value === undefined ? undefined : JSON.stringify(value), status);
    const answerLines = (values: readonly unknown[]): void => answerText(values.map(jsonLine).join(''), 200);
    const route = `${call.method} ${resource}${id === '' ? '' : '/:id'}${verb === undefined ? '' : `/${verb}`}${name === '' ? '' : '/:name'}${last === undefined ? '' : `/${last}`}`;
    const body = async <T>(): Promise<T> => JSON.parse(await textOf(request)) as T;
    switch (route) {
      case 'GET info':
        return answer(this.#info());
      case 'GET machines':
        return answer([...this.machines.values()].map(({ status }) => status));
      case 'GET machines/:id':
        return answer(this.#held(id).status);
      case 'PUT machines/:id':
        return answer(this.#create(id, await body()));
      case 'POST machines/:id/start':
      case 'POST machines/:id/restart':
        return answer(this.#change<{ generation: number }>(id, await body(), 'machine.started', start));
      case 'POST machines/:id/stop':
        return answer(this.#change<{ generation: number }>(id, await body(), 'machine.stopped', stop));
      case 'POST machines/:id/update':
        return answer(
          this.#change<MachineUpdate>(id, await body(), 'machine.updated', (status, { spec, metadata }) => {
            const own = status.spec.metadata;
            status.spec = { ...spec, ...(metadata === undefined ? own && { metadata: own } : { metadata: mergeNamed(own ?? {}, metadata) }) };
          }),
        );
      case 'PUT machines/:id/code':
        this.received.set(`${id}:/app`, await sizeOf(request, () => (this.cancelled += 1)));
        return answer(this.#change(id, requestOf<MachineUpdate>(url), 'machine.updated', (status, { spec }) => (status.spec = spec)));
      case 'POST machines/:id/rename':
        return answer(
          this.#change<{ generation: number; name: string }>(
            id,
            await body(),
            'machine.renamed',
            (status, asked) => (status.spec = { ...status.spec, name: asked.name }),
          ),
        );
      case 'DELETE machines/:id':
        await body();
        if (this.machines.delete(id)) this.emit('machine.deleted', id, 'deleted');
        return answer(undefined, 204);
      case 'POST resizes':
        return answerLines((await body<MachineResize[]>()).map((asked, index) => outcomeOf(index, () => this.#resize(asked))));
      case 'GET machines/:id/usage':
        return answer(usageOf(this.#held(id).status, this.usages.get(id)));
      case 'GET pool':
        return answer(poolOf(this));
      case 'GET machines/:id/processes':
        this.#held(id);
        return answer([{ pid: 1, user: 'root', command: 'sleep', memoryMib: 1, cpuSeconds: 0 }]);
      case 'GET machines/:id/logs':
        this.#held(id);
        return sendLogs(this, url, response);
      case 'GET machines/:id/files':
        this.#held(id);
        return sendFile(this, url, response);
      case 'PUT machines/:id/files':
        this.#held(id);
        this.received.set(`${id}:${url.searchParams.get('path')}`, await sizeOf(request, () => (this.cancelled += 1)));
        return answer(undefined, 204);
      case 'GET machines/:id/snapshots':
        return answer([...this.#held(id).snapshots.values()]);
      case 'GET machines/:id/snapshot-names':
        return answer([...this.#held(id).snapshots.keys()]);
      case 'POST machines/:id/snapshots':
        return answer(this.#snapshot(id, (await body<{ name: string }>()).name));
      case 'DELETE machines/:id/snapshots/:name':
        if (!this.#held(id).snapshots.delete(name)) throw new CenoteError('not_found', `there is no snapshot ${name}`);
        this.emit('snapshot.deleted', id, name);
        return answer(undefined, 204);
      case 'POST machines/:id/snapshots/:name/rollback':
        if (!this.#held(id).snapshots.has(name)) throw new CenoteError('not_found', `there is no snapshot ${name}`);
        return answer(this.#change<{ generation: number }>(id, await body(), 'machine.rolledback', start));
      case 'GET names':
        return answer({ ...this.names, resolver: null });
      case 'PUT names':
        this.names = await body();
        return answer(undefined, 204);
      case 'GET networks':
        return answer([...this.networks.values()]);
      case 'PUT networks/:id':
        this.networks.set(id, await body());
        return answer(undefined, 204);
      case 'GET networks/:id/usage':
        return answer(networkUsageOf(this, id));
      case 'GET floating-addresses':
        return answer([...this.floating.values()]);
      case 'PUT floating-addresses/:id':
        this.floating.set(id, later(this.floating.get(id), await body()));
        return answer(undefined, 204);
      case 'GET firewall':
        return answer(this.firewall.state);
      case 'POST firewall':
        return answer(this.firewall.change(await body()));
      case 'GET images':
        return answer([...this.images.values()]);
      case 'POST images':
        return answer(await this.#imageCreate(url, request), 201);
      case 'DELETE images/:id':
        if (!this.images.delete(id)) throw new CenoteError('not_found', 'there is no such image');
        this.emit('image.deleted', id, 'deleted');
        return answer(undefined, 204);
      case 'GET platforms':
        return answer(this.platforms);
      case 'POST platforms':
        return this.#platformBuild(await body(), response);
      case `DELETE platforms/:id/${verb}`:
        this.platforms.splice(
          this.platforms.findIndex((one) => one.name === id && one.version === verb),
          1,
        );
        this.emit('platform.deleted', id, 'deleted');
        return answer(undefined, 204);
      case 'GET events':
        return this.#follow(Number(url.searchParams.get('after') ?? 0), response);
      default:
        throw new CenoteError('not_found', `there is no ${call.method} ${call.path}`);
    }
  }

  #info(): AgentInfo {
    const { subnet, gateway, pool } = this.options;
    const running = [...this.machines.values()].filter(({ status }) => status.state === 'running').length;
    return {
      version: '0.1.0',
      instance: 'test',
      startedAt: baseImage.createdAt,
      host: { name: 'simulated', kernel: '6.0', cpus: 2, memoryMib: 1, cgroup: 'v2' },
      pool: { networkMbps: null, ...pool, diskUsedMib: 0 },
      held: { cpuMillis: pool.cpuMillis, memoryMib: pool.memoryMib },
      guaranteed: { ...noGuarantees },
      unsupported: this.options.unsupported,
      storage: { driver: 'fake', quota: 'none', snapshots: true, lacks: [] },
      network: { subnet, gateway, uplinks: [], wires: [] },
      machines: { total: this.machines.size, running },
    };
  }

  #held(id: string): Held {
    const held = this.machines.get(id);
    if (held === undefined) throw new CenoteError('not_found', 'there is no such machine');
    return held;
  }

  #create(id: string, { generation, spec, desired, fromSnapshot, adopt }: MachineCreate): MachineStatus {
    const known = this.machines.get(id);
    if (adopt === true && known === undefined) throw new CenoteError('not_found', 'there is no data of it');
    if (known !== undefined) {
      if (known.status.generation === generation) return known.status;
      if (known.status.generation > generation) throw new CenoteError('stale_generation', 'there is a newer request');
      this.doubled.push(id);
    }
    this.#refuseClash(spec);
    if (fromSnapshot !== undefined && !this.#held(fromSnapshot.machine).snapshots.has(fromSnapshot.name))
      throw new CenoteError('not_found', 'there is no such snapshot');
    const status = statusOf(spec, generation, desired);
    this.machines.set(id, { status, snapshots: new Map() });
    this.emit('machine.created', id, 'created');
    if (desired === 'running') this.emit('machine.started', id, 'started');
    return status;
  }

  #refuseClash(spec: MachineSpec): void {
    for (const { network } of nicsOf(spec))
      if (network !== externalNetwork && !this.networks.has(network)) throw new CenoteError('unavailable', `the host was not told of network ${network}`);
    for (const { status } of this.machines.values()) if (clash(status.spec, spec)) this.doubled.push(spec.id);
  }

  #change<T extends { generation: number }>(id: string, asked: T, event: string, apply: (status: MachineStatus, asked: T) => void): MachineStatus {
    const { status } = this.#held(id);
    if (asked.generation < status.generation) throw new CenoteError('stale_generation', 'there is a newer request');
    if (asked.generation === status.generation) return status;
    status.generation = asked.generation;
    apply(status, asked);
    this.emit(event, id, event);
    return status;
  }

  #resize(asked: MachineResize): MachineStatus {
    return this.#change(asked.id, asked, 'machine.resized', (status, { resources }) => (status.spec = { ...status.spec, resources }));
  }

  #snapshot(id: string, name: string): Snapshot {
    const { snapshots } = this.#held(id);
    if (snapshots.has(name)) throw new CenoteError('already_exists', `there is a snapshot ${name} already`);
    const snapshot = { name, createdAt: new Date().toISOString(), sizeMib: 0, freezeMs: 1 };
    snapshots.set(name, snapshot);
    this.emit('snapshot.created', id, name);
    return snapshot;
  }

  async #imageCreate(url: URL, request: IncomingMessage): Promise<Image> {
    const { id, name, kind, config } = requestOf<ImageCreate>(url);
    const size = await sizeOf(request, () => (this.cancelled += 1));
    const image: Image = { id, name, kind, config, sizeMib: size / 1024 / 1024, createdAt: new Date().toISOString(), builtIn: false };
    this.images.set(id, image);
    this.emit('image.created', id, name);
    return image;
  }

  async #platformBuild({ name, include }: { name: string; include: string[] }, response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': jsonLinesType });
    for (const message of ['packages are fetched', 'packages are unpacked']) response.write(jsonLine({ message }));
    const platform: Platform = { ...hostPlatform, name, version: String(this.platforms.filter((one) => one.name === name).length + 1), include };
    this.platforms.push(platform);
    response.end(jsonLine({ message: 'built', platform }));
    this.emit('platform.created', name, 'built');
  }

  #follow(after: number, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': jsonLinesType });
    response.flushHeaders();
    for (const event of this.events.filter(({ sequence }) => sequence > after)) response.write(jsonLine(event));
    this.#followers.add(response);
    response.on('close', () => this.#followers.delete(response));
  }

  /** Exec: whatever is asked for, it echoes. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const id = /^\/v1\/machines\/([^/]+)\/exec$/.exec(request.url!)?.[1] ?? '';
    this.#sockets.add(socket);
    if (this.machines.get(id)?.status.state !== 'running') {
      const body = JSON.stringify({ code: 'wrong_state', message: 'the machine does not run' });
      socket.end(`HTTP/1.1 409 Conflict\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    this.#exec.handleUpgrade(request, socket, head, (session) => echo(this, session));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
