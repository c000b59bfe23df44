/** The typed client of the control plane's API (model/control-api.ts), for the command line, the console's server side and tests. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { PlatformBuild, Progress, SnapshotCreate } from '../model/agent-api.ts';
import type {
  Accepted,
  ActionOptions,
  ControlInfo,
  CreateImage,
  CreateMachine,
  CreatePackage,
  Machine,
  ResizeMachine,
  RestoredBackup,
  UpdateMachine,
  UpdatePackage,
} from '../model/control-api.ts';
import type { Event, Job } from '../model/event.ts';
import type { PacketService } from '../model/firewall/judge.ts';
import type { CreateFirewallRule, FirewallRule, FirewallVerdict, UpdateFirewallRule } from '../model/firewall/wire.ts';
import type { Image, Platform } from '../model/image.ts';
import type { MachineProcess, MachineState, MachineUsage, Snapshot } from '../model/machine.ts';
import type { MetadataChange } from '../model/metadata.ts';
import type { DnsStatus, NameRecord } from '../model/names-api.ts';
import type { AddressWish, MachineNic, NicWish } from '../model/network-api.ts';
import type { PoolStatus } from '../model/pool.ts';
import type { Package } from '../model/resources.ts';
import { AccountCalls } from './account-calls.ts';
import { HttpClient } from './http.ts';
import type { ControlCall } from './network-calls.ts';
import type { Remote } from './remote.ts';

export interface ActionCall extends ControlCall {
  /** Answer when the job has ended, or after this many seconds. */
  wait?: number | undefined;
}

export interface MachineFilter {
  name?: string | undefined;
  state?: MachineState | undefined;
  tags?: Record<string, string> | undefined;
  limit?: number | undefined;
  offset?: number | undefined;
}

const part = encodeURIComponent;
const firewallRule = (id: string): string => `/v1/fwrules/${part(id)}`;
const machine = (id: string): string => `/v1/machines/${part(id)}`;

export class ControlClient extends AccountCalls implements Disposable {
  /** `place` is the path of its socket, or elsewhere. */
  constructor(place: string | Remote, advice = 'start it with: cenote up') {
    super(new HttpClient({ place, peer: 'the control plane', advice }));
  }

  info(call: ControlCall = {}): Promise<ControlInfo> {
    return this.http.json('GET', '/v1/info', call);
  }

  dnsStatus(call: ControlCall = {}): Promise<DnsStatus> {
    return this.http.json('GET', '/v1/dns', call);
  }

  /** Of one machine, or of all that the account has. */
  nameList(query: { machine?: string | undefined } = {}, call: ControlCall = {}): Promise<NameRecord[]> {
    return this.http.json('GET', '/v1/names', { query, ...call });
  }

  machineList(filter: MachineFilter = {}, call: ControlCall = {}): Promise<Machine[]> {
    const { tags, ...plain } = filter;
    const query = { ...plain, ...Object.fromEntries(Object.entries(tags ?? {}).map(([name, value]) => [`tag.${name}`, value])) };
    return this.http.json('GET', '/v1/machines', { query, ...call });
  }

  machineGet(id: string, call: ControlCall = {}): Promise<Machine> {
    return this.http.json('GET', machine(id), call);
  }

  machineCreate(json: CreateMachine, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', '/v1/machines', json, call);
  }

  machineStart(id: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/start`, {}, call);
  }

  machineStop(id: string, options: ActionOptions = {}, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/stop`, options, call);
  }

  machineReboot(id: string, options: ActionOptions = {}, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/reboot`, options, call);
  }

  machineRename(id: string, name: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/rename`, { name }, call);
  }

  machineResize(id: string, json: ResizeMachine, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/resize`, json, call);
  }

  machineMetadata(id: string, json: MetadataChange, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/metadata`, json, call);
  }

  machineUpdate(id: string, json: UpdateMachine, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/update`, json, call);
  }

  /** With new code, a tar stream; the answer comes when the job has ended. */
  machineUpdateWithCode(id: string, asked: UpdateMachine, code: Readable, call: ControlCall = {}): Promise<Accepted> {
    const query = { request: JSON.stringify(asked) };
    return this.http.json('PUT', `${machine(id)}/code`, { query, stream: code, headers: { 'content-type': 'application/x-tar' }, ...call });
  }

  machineDelete(id: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('DELETE', machine(id), undefined, call);
  }

  machineUsage(id: string, call: ControlCall = {}): Promise<MachineUsage> {
    return this.http.json('GET', `${machine(id)}/usage`, call);
  }

  machineProcesses(id: string, call: ControlCall = {}): Promise<MachineProcess[]> {
    return this.http.json('GET', `${machine(id)}/processes`, call);
  }

  /** Newest first. */
  machineJobs(id: string, call: ControlCall = {}): Promise<Job[]> {
    return this.http.json('GET', `${machine(id)}/jobs`, call);
  }

  machineNicList(id: string, call: ControlCall = {}): Promise<MachineNic[]> {
    return this.http.json('GET', `${machine(id)}/nics`, call);
  }

  machineNicAdd(id: string, json: NicWish, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/nics`, json, call);
  }

  /** By its MAC. */
  machineAddressAdd(id: string, mac: string, json: AddressWish, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/nics/${part(mac)}/addresses`, json, call);
  }

  machineAddressRemove(id: string, mac: string, address: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('DELETE', `${machine(id)}/nics/${part(mac)}/addresses/${part(address)}`, undefined, call);
  }

  machineNicMakePrimary(id: string, mac: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/nics/${part(mac)}/primary`, {}, call);
  }

  machineNicRemove(id: string, mac: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('DELETE', `${machine(id)}/nics/${part(mac)}`, undefined, call);
  }

  firewallRuleList(call: ControlCall = {}): Promise<FirewallRule[]> {
    return this.http.json('GET', '/v1/fwrules', call);
  }

  firewallRuleGet(id: string, call: ControlCall = {}): Promise<FirewallRule> {
    return this.http.json('GET', firewallRule(id), call);
  }

  firewallRuleCreate(json: CreateFirewallRule, call: ControlCall = {}): Promise<FirewallRule> {
    return this.http.json('POST', '/v1/fwrules', { json, ...call });
  }

  firewallRuleUpdate(id: string, json: UpdateFirewallRule, call: ControlCall = {}): Promise<FirewallRule> {
    return this.http.json('POST', `${firewallRule(id)}/update`, { json, ...call });
  }

  firewallRuleEnable(id: string, call: ControlCall = {}): Promise<FirewallRule> {
    return this.http.json('POST', `${firewallRule(id)}/enable`, { json: {}, ...call });
  }

  firewallRuleDisable(id: string, call: ControlCall = {}): Promise<FirewallRule> {
    return this.http.json('POST', `${firewallRule(id)}/disable`, { json: {}, ...call });
  }

  firewallRuleDelete(id: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', firewallRule(id), call);
  }

  /** Those of the caller's machines that a rule is about. */
  firewallRuleMachines(id: string, call: ControlCall = {}): Promise<Machine[]> {
    return this.http.json('GET', `${firewallRule(id)}/machines`, call);
  }

  machineFirewallRules(id: string, call: ControlCall = {}): Promise<FirewallRule[]> {
    return this.http.json('GET', `${machine(id)}/fwrules`, call);
  }

  /** What becomes of a packet between two machines or addresses. */
  firewallTest(from: string, to: string, service: PacketService, call: ControlCall = {}): Promise<FirewallVerdict> {
    return this.http.json('GET', '/v1/firewall/test', { query: { from, to, ...service }, ...call });
  }

  /** Each line is a LogLine as JSON. */
  logs(id: string, query: { follow?: boolean; tail?: number } = {}, call: ControlCall = {}): Promise<IncomingMessage> {
    return this.http.stream('GET', `${machine(id)}/logs`, { query, ...call });
  }

  /** A tar stream of what is at `path`. */
  filesGet(id: string, path: string, call: ControlCall = {}): Promise<IncomingMessage> {
    return this.http.stream('GET', `${machine(id)}/files`, { query: { path }, ...call });
  }

  /** Unpacks a tar stream at `path`. */
  filesPut(id: string, path: string, content: Readable, call: ControlCall = {}): Promise<void> {
    return this.http.json('PUT', `${machine(id)}/files`, { query: { path }, stream: content, headers: { 'content-type': 'application/x-tar' }, ...call });
  }

  snapshotList(id: string, call: ControlCall = {}): Promise<Snapshot[]> {
    return this.http.json('GET', `${machine(id)}/snapshots`, call);
  }

  snapshotCreate(id: string, json: SnapshotCreate, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/snapshots`, json, call);
  }

  snapshotDelete(id: string, name: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('DELETE', `${machine(id)}/snapshots/${part(name)}`, undefined, call);
  }

  snapshotRollback(id: string, name: string, call: ActionCall = {}): Promise<Accepted> {
    return this.#action('POST', `${machine(id)}/snapshots/${part(name)}/rollback`, {}, call);
  }

  jobGet(id: string, call: ActionCall = {}): Promise<Job> {
    return this.http.json('GET', `/v1/jobs/${part(id)}`, { query: { wait: call.wait }, signal: call.signal });
  }

  imageList(call: ControlCall = {}): Promise<Image[]> {
    return this.http.json('GET', '/v1/images', call);
  }

  imageGet(idOrName: string, call: ControlCall = {}): Promise<Image> {
    return this.http.json('GET', `/v1/images/${part(idOrName)}`, call);
  }

  /** `content` is a tar stream; none with `fromMachine`. */
  imageCreate(request: CreateImage, content: Readable | undefined, call: ControlCall = {}): Promise<Image> {
    const headers = content === undefined ? {} : { 'content-type': 'application/x-tar' };
    return this.http.json('POST', '/v1/images', { query: { request: JSON.stringify(request) }, stream: content, headers, ...call });
  }

  imageDelete(idOrName: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/images/${part(idOrName)}`, call);
  }

  platformList(call: ControlCall = {}): Promise<Platform[]> {
    return this.http.json('GET', '/v1/platforms', call);
  }

  platformBuild(json: PlatformBuild, call: ControlCall = {}): AsyncGenerator<Progress[]> {
    return this.http.ndjson('POST', '/v1/platforms', { json, ...call });
  }

  platformDelete(name: string, version: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/platforms/${part(name)}/${part(version)}`, call);
  }

  /** What the pool is at this moment, with all machines that run. */
  pool(call: ControlCall = {}): Promise<PoolStatus> {
    return this.http.json('GET', '/v1/pool', call);
  }

  /** The newest version of each, or with `versions` all. */
  packageList(query: { versions?: boolean } = {}, call: ControlCall = {}): Promise<Package[]> {
    return this.http.json('GET', '/v1/packages', { query, ...call });
  }

  packageGet(name: string, call: ControlCall = {}): Promise<Package> {
    return this.http.json('GET', `/v1/packages/${part(name)}`, call);
  }

  packageCreate(json: CreatePackage, call: ControlCall = {}): Promise<Package> {
    return this.http.json('POST', '/v1/packages', { json, ...call });
  }

  packageUpdate(name: string, json: UpdatePackage, call: ControlCall = {}): Promise<Package> {
    return this.http.json('POST', `/v1/packages/${part(name)}/update`, { json, ...call });
  }

  packageDelete(name: string, call: ControlCall = {}): Promise<void> {
    return this.http.json('DELETE', `/v1/packages/${part(name)}`, call);
  }

  /** Of one `subject` or of all. With `follow` it goes on; and without `after` it then begins with what happens next. */
  events(query: { after?: number; subject?: string; follow?: boolean } = {}, call: ControlCall = {}): AsyncGenerator<Event[]> {
    return this.http.ndjson('GET', '/v1/events', { query, ...call });
  }

  /** A copy of the store, as it is now. */
  backup(call: ControlCall = {}): Promise<IncomingMessage> {
    return this.http.stream('GET', '/v1/backup', call);
  }

  /** Puts a copy back; the control plane then begins anew. */
  restore(copy: Readable, call: ControlCall = {}): Promise<RestoredBackup> {
    return this.http.json('PUT', '/v1/backup', { stream: copy, headers: { 'content-type': 'application/gzip' }, ...call });
  }

  #action(method: string, path: string, json: unknown, call: ActionCall): Promise<Accepted> {
    return this.http.json(method, path, { json, query: { wait: call.wait }, signal: call.signal });
  }

  [Symbol.dispose](): void {
    this.http[Symbol.dispose]();
  }
}
