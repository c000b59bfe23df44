/**
 * The typed client of the agent's API (model/agent-api.ts). Every mutating call carries a generation, so it may be repeated safely after a
 * lost answer. Calls that end by themselves have a time limit well beyond what the work may take.
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type {
  AgentInfo,
  ImageCreate,
  MachineAction,
  MachineCreate,
  MachineRename,
  MachineResize,
  MachineUpdate,
  PlatformBuild,
  Progress,
  SnapshotCreate,
} from '../model/agent-api.ts';
import type { Event } from '../model/event.ts';
import type { AppliedFirewall, FirewallChange } from '../model/firewall/wire.ts';
import type { FloatingState, NetworkDefinition } from '../model/network.ts';
import type { Image, Platform } from '../model/image.ts';
import type { HostNames, NamesTold } from '../model/names-api.ts';
import type { PoolStatus } from '../model/pool.ts';
import type { MachineProcess, MachineStatus, MachineUsage, Snapshot } from '../model/machine.ts';
import type { NetworkUsage } from '../model/network-usage.ts';
import { HttpClient } from './http.ts';
import { Resizes } from './resizes.ts';

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

const readMs = 30_000;
const workMs = 300_000;
const graceMs = (graceSeconds: number | undefined): number => workMs + (graceSeconds ?? 3600) * 1000;
const part = encodeURIComponent;

export class AgentClient implements Disposable {
  readonly http: HttpClient;
  readonly #resizes: Resizes;

  constructor(socketPath: string, advice = 'see whether it runs: cenote doctor') {
    this.http = new HttpClient({ place: socketPath, peer: "the host's agent", advice });
    this.#resizes = new Resizes((json, signal) => this.http.ndjson('POST', '/v1/resizes', { json, timeoutMs: workMs, signal }));
  }

  info(options: CallOptions = {}): Promise<AgentInfo> {
    return this.#get('/v1/info', options);
  }

  /** What the pool is at this moment, with all machines that run. */
  pool(options: CallOptions = {}): Promise<PoolStatus> {
    return this.#get('/v1/pool', options);
  }

  /** Fabric networks that it knows: those that machines of it are on, and such as were told of and not yet used. */
  networkList(options: CallOptions = {}): Promise<NetworkDefinition[]> {
    return this.#get('/v1/networks', options);
  }

  /** An older version changes nothing. */
  networkPut(json: NetworkDefinition, options: CallOptions = {}): Promise<void> {
    return this.http.json('PUT', `/v1/networks/${part(json.id)}`, { json, timeoutMs: readMs, ...options });
  }

  networkUsage(id: string, options: CallOptions = {}): Promise<NetworkUsage> {
    return this.#get(`/v1/networks/${part(id)}/usage`, options);
  }

  /** Whose floating addresses are. */
  floatingList(options: CallOptions = {}): Promise<FloatingState[]> {
    return this.#get('/v1/floating-addresses', options);
  }

  /** In force when it resolves; an older version changes nothing. */
  floatingPut(json: FloatingState, options: CallOptions = {}): Promise<void> {
    return this.http.json('PUT', `/v1/floating-addresses/${part(json.address)}`, { json, timeoutMs: readMs, ...options });
  }

  /** The rules that it applies. */
  firewall(options: CallOptions = {}): Promise<AppliedFirewall> {
    return this.#get('/v1/firewall', options);
  }

  /** In force when it answers. */
  firewallChange(json: FirewallChange, options: CallOptions = {}): Promise<{ revision: number }> {
    return this.http.json('POST', '/v1/firewall', { json, timeoutMs: readMs, ...options });
  }

  names(options: CallOptions = {}): Promise<HostNames> {
    return this.#get('/v1/names', options);
  }

  /** Whose machines have names: all of them, whatever it was before. */
  namesTell(json: NamesTold, options: CallOptions = {}): Promise<void> {
    return this.http.json('PUT', '/v1/names', { json, timeoutMs: readMs, ...options });
  }

  machineList(options: CallOptions = {}): Promise<MachineStatus[]> {
    return this.#get('/v1/machines', options);
  }

  machineGet(id: string, options: CallOptions = {}): Promise<MachineStatus> {
    return this.#get(`/v1/machines/${part(id)}`, options);
  }

  machineCreate(id: string, json: MachineCreate, options: CallOptions = {}): Promise<MachineStatus> {
    return this.http.json('PUT', `/v1/machines/${part(id)}`, { json, timeoutMs: workMs, ...options });
  }

  machineStart(id: string, json: MachineAction, options: CallOptions = {}): Promise<MachineStatus> {
    return this.#post(`/v1/machines/${part(id)}/start`, json, workMs, options);
  }

  machineStop(id: string, json: MachineAction, options: CallOptions = {}): Promise<MachineStatus> {
    return this.#post(`/v1/machines/${part(id)}/stop`, json, graceMs(json.graceSeconds), options);
  }

  machineRestart(id: string, json: MachineAction, options: CallOptions = {}): Promise<MachineStatus> {
    return this.#post(`/v1/machines/${part(id)}/restart`, json, graceMs(json.graceSeconds), options);
  }

  /** With others that are asked for in the same moment. */
  machineResize(id: string, asked: Omit<MachineResize, 'id'>, { signal }: CallOptions = {}): Promise<MachineStatus> {
    return this.#resizes.ask({ id, ...asked }, signal);
  }

  machineUpdate(id: string, json: MachineUpdate, options: CallOptions = {}): Promise<MachineStatus> {
    return this.#post(`/v1/machines/${part(id)}/update`, json, graceMs(undefined), options);
  }

  /** `code` is a tar stream; absent: it was sent already, and the outcome of that is asked for. */
  machineUpdateWithCode(id: string, request: MachineUpdate, code: Readable | undefined, options: CallOptions = {}): Promise<MachineStatus> {
    const headers = code === undefined ? {} : { 'content-type': 'application/x-tar' };
    return this.http.json('PUT', `/v1/machines/${part(id)}/code`, { query: { request: JSON.stringify(request) }, stream: code, headers, ...options });
  }

  machineRename(id: string, json: MachineRename, options: CallOptions = {}): Promise<MachineStatus> {
    return this.#post(`/v1/machines/${part(id)}/rename`, json, workMs, options);
  }

  machineDelete(id: string, generation: number, options: CallOptions = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/machines/${part(id)}`, { json: { generation }, timeoutMs: graceMs(undefined), ...options });
  }

  machineUsage(id: string, options: CallOptions = {}): Promise<MachineUsage> {
    return this.#get(`/v1/machines/${part(id)}/usage`, options);
  }

  machineProcesses(id: string, options: CallOptions = {}): Promise<MachineProcess[]> {
    return this.#get(`/v1/machines/${part(id)}/processes`, options);
  }

  snapshotList(id: string, options: CallOptions = {}): Promise<Snapshot[]> {
    return this.#get(`/v1/machines/${part(id)}/snapshots`, options);
  }

  /** Which there are: the list measures each, which takes long where there is much data. */
  snapshotNames(id: string, options: CallOptions = {}): Promise<string[]> {
    return this.#get(`/v1/machines/${part(id)}/snapshot-names`, options);
  }

  snapshotCreate(id: string, json: SnapshotCreate, options: CallOptions = {}): Promise<Snapshot> {
    return this.#post(`/v1/machines/${part(id)}/snapshots`, json, workMs, options);
  }

  snapshotDelete(id: string, name: string, options: CallOptions = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/machines/${part(id)}/snapshots/${part(name)}`, { timeoutMs: workMs, ...options });
  }

  snapshotRollback(id: string, name: string, generation: number, options: CallOptions = {}): Promise<MachineStatus> {
    return this.#post(`/v1/machines/${part(id)}/snapshots/${part(name)}/rollback`, { generation }, graceMs(undefined), options);
  }

  imageList(options: CallOptions = {}): Promise<Image[]> {
    return this.#get('/v1/images', options);
  }

  /** `content` is a tar stream; none when the content comes from a machine. */
  imageCreate(request: ImageCreate, content: Readable | undefined, options: CallOptions = {}): Promise<Image> {
    const headers = content === undefined ? {} : { 'content-type': 'application/x-tar' };
    return this.http.json('POST', '/v1/images', { query: { request: JSON.stringify(request) }, stream: content, headers, ...options });
  }

  imageDelete(id: string, options: CallOptions = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/images/${part(id)}`, { timeoutMs: workMs, ...options });
  }

  platformList(options: CallOptions = {}): Promise<Platform[]> {
    return this.#get('/v1/platforms', options);
  }

  platformBuild(json: PlatformBuild, options: CallOptions = {}): AsyncGenerator<Progress[]> {
    return this.http.ndjson('POST', '/v1/platforms', { json, ...options });
  }

  platformDelete(name: string, version: string, options: CallOptions = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/platforms/${part(name)}/${part(version)}`, { timeoutMs: workMs, ...options });
  }

  /** Events numbered above `after`, as they come; as many at a time as arrived together. */
  events(after: number, options: CallOptions = {}): AsyncGenerator<Event[]> {
    return this.http.ndjson('GET', '/v1/events', { query: { after }, ...options });
  }

  logs(id: string, query: { follow?: boolean; tail?: number }, options: CallOptions = {}): Promise<IncomingMessage> {
    return this.http.stream('GET', `/v1/machines/${part(id)}/logs`, { query, ...options });
  }

  filesGet(id: string, path: string, options: CallOptions = {}): Promise<IncomingMessage> {
    return this.http.stream('GET', `/v1/machines/${part(id)}/files`, { query: { path }, ...options });
  }

  filesPut(id: string, path: string, content: Readable, options: CallOptions = {}): Promise<void> {
    return this.http.json('PUT', `/v1/machines/${part(id)}/files`, {
      query: { path },
      stream: content,
      headers: { 'content-type': 'application/x-tar' },
      ...options,
    });
  }

  #get<T>(path: string, options: CallOptions): Promise<T> {
    return this.http.json('GET', path, { timeoutMs: readMs, ...options });
  }

  #post<T>(path: string, json: unknown, timeoutMs: number, options: CallOptions): Promise<T> {
    return this.http.json('POST', path, { json, timeoutMs, ...options });
  }

  [Symbol.dispose](): void {
    this.http[Symbol.dispose]();
  }
}
