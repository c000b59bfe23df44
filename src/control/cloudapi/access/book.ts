/**
 * Who may do what, as the store says, kept between requests: every request asks for it, and it hardly ever changes. What this process writes is
 * seen by the next request. One database serves one control plane, so nobody else should write; whoever does all the same is believed within ten
 * seconds.
 */
import type { Policy, Role } from '../../../model/access.ts';
import { systemContext as system } from '../../../store/context.ts';
import type { RequestContext } from '../../../store/context.ts';
import { credentialFind, tokenCredentialFind } from '../../../store/credential.ts';
import type { Credential, Named, TokenCredential } from '../../../store/credential.ts';
import { policyList, roleList, roleTagAny, roleTagList, roleTagResources } from '../../../store/role.ts';
import type { Store } from '../../../store/store.ts';

const longestMs = 10_000;
const mostKept = 50_000;

export class AccessBook {
  readonly #store: Pick<Store, 'db' | 'accessVersion'>;
  readonly #kept = new Map<string, unknown>();
  readonly #now: () => number;
  #version: number;
  #since: number;

  /** `now` in milliseconds. */
  constructor(store: Pick<Store, 'db' | 'accessVersion'>, now: () => number = () => performance.now()) {
    this.#store = store;
    this.#now = now;
    this.#since = now();
    this.#version = store.accessVersion;
  }

  /** Only one that has proved itself before; the store is not asked. */
  knownCredential(keyId: string): Credential | undefined {
    this.#refresh();
    return this.#kept.get(`credential ${keyId}`) as Credential | undefined;
  }

  /** What is found is not kept until it is told to be `proved`, so that strangers fill no memory. */
  async findCredential(keyId: string, named: Named): Promise<{ found: Credential | undefined; proved: () => void }> {
    const version = this.#store.accessVersion;
    const found = await credentialFind(system, this.#store.db, named);
    return { found, proved: () => this.#keep(`credential ${keyId}`, found, version) };
  }

  /** By the hash of what the client sent. One that is not there is asked for each time. */
  async token(hash: string): Promise<TokenCredential | undefined> {
    const now = new Date().toISOString();
    this.#refresh();
    const key = `token ${hash}`;
    const version = this.#store.accessVersion;
    const known = this.#kept.get(key) as TokenCredential | undefined;
    const found = known ?? (await tokenCredentialFind(system, this.#store.db, hash, now));
    if (found === undefined || found.token.expiresAt <= now) return undefined;
    if (known === undefined) this.#keep(key, found, version);
    return found;
  }

  roles(context: RequestContext): Promise<Role[]> {
    return this.#get(`roles ${context.account}`, () => roleList(context, this.#store.db));
  }

  policies(context: RequestContext): Promise<Policy[]> {
    return this.#get(`policies ${context.account}`, () => policyList(context, this.#store.db));
  }

  /** Roles that a resource such as `machines/ID` is for. Most accounts have no tags at all, and are asked once. */
  async rolesFor(context: RequestContext, resource: string): Promise<readonly { id: string; name: string }[]> {
    const any = await this.#get(`any ${context.account}`, () => roleTagAny(context, this.#store.db));
    return any ? this.#get(`tags ${context.account} ${resource}`, () => roleTagList(context, this.#store.db, resource)) : [];
  }

  resourcesFor(context: RequestContext, roles: readonly string[]): Promise<string[]> {
    return this.#get(`resources ${context.account} ${roles.join()}`, () => roleTagResources(context, this.#store.db, roles));
  }

  async #get<Value>(key: string, read: () => Promise<Value>): Promise<Value> {
    this.#refresh();
    if (this.#kept.has(key)) return this.#kept.get(key) as Value;
    const version = this.#store.accessVersion;
    const value = await read();
    this.#keep(key, value, version);
    return value;
  }

  /** `version` is from before the read: what was written meanwhile may not be in it. */
  #keep(key: string, value: unknown, version: number): void {
    this.#refresh();
    if (version !== this.#version) return;
    if (this.#kept.size >= mostKept) this.#kept.clear();
    this.#kept.set(key, value);
  }

  #refresh(): void {
    const now = this.#now();
    if (this.#version === this.#store.accessVersion && now - this.#since < longestMs) return;
    this.#kept.clear();
    this.#version = this.#store.accessVersion;
    this.#since = now;
  }
}
