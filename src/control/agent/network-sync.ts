/**
 * Tells the host of fabric and shared networks: of one before the first machine that is on it, of a change at once, and of what it may have missed when
 * the tie to it is made anew. A network that only the host knows (the store may be an old copy) is taken over.
 */
import { CenoteError } from '../../base/errors.ts';
import type { AgentClient } from '../../client/agent.ts';
import { subnetOf } from '../../model/network.ts';
import { externalNetwork } from '../../model/nics.ts';
import type { NetworkDefinition } from '../../model/network.ts';
import { placeOf } from '../../model/subnet.ts';
import { accountEnsure } from '../../store/account.ts';
import { addressClaim, addressGet } from '../../store/address.ts';
import { defaultAccount, systemContext as system } from '../../store/context.ts';
import { definitionOf, networkExternal, networkInsert, networkListAll, networkListByIds, networkSave } from '../../store/network.ts';
import type { StoredNetwork } from '../../store/network.ts';
import type { Db, Store } from '../../store/store.ts';

export class NetworkSync {
  readonly #store: Store;
  readonly #agent: AgentClient;
  /** Versions that the host has, as far as it was told since the tie holds. */
  #told = new Map<string, number>();

  constructor(store: Store, agent: AgentClient) {
    this.#store = store;
    this.#agent = agent;
  }

  /** The host has them when it resolves. `again`: also those that it was told of, since something has failed meanwhile. */
  async introduce(ids: readonly string[], again: boolean, signal?: AbortSignal): Promise<void> {
    const unknown = ids.filter((id) => again || !this.#told.has(id));
    for (const network of await networkListByIds(system, this.#store.db, unknown)) await this.#tell(network, signal);
  }

  /** After the transaction that changed it: a host that knows it is told. */
  async changed(id: string): Promise<void> {
    if (!this.#told.has(id)) return;
    for (const network of await networkListByIds(system, this.#store.db, [id])) await this.#tell(network);
  }

  /** The tie is cut: the next agent may not know what this one was told. What is being told is entered where nobody looks any more. */
  forget(): void {
    this.#told = new Map();
  }

  /** When the tie is made, before machines are compared. */
  async compare(signal: AbortSignal): Promise<void> {
    this.forget();
    const definitions = await this.#agent.networkList({ signal });
    if (definitions.length === 0) return;
    const known = new Map((await networkListAll(system, this.#store.db)).map((network) => [network.id, network]));
    for (const definition of definitions) {
      const stored = known.get(definition.id);
      if (stored === undefined || stored.version < definition.version) await this.#store.transactionRepeatable((db) => take(db, definition, stored));
      else if (stored.version > definition.version) await this.#tell(stored, signal);
      this.#told.set(definition.id, Math.max(stored?.version ?? 0, definition.version));
    }
  }

  async #tell(network: StoredNetwork, signal?: AbortSignal): Promise<void> {
    const told = this.#told;
    await this.#agent.networkPut(definitionOf(network), { signal });
    told.set(network.id, network.version);
  }
}

const take = async (db: Db, definition: NetworkDefinition, stored: StoredNetwork | undefined): Promise<void> => {
  const { size } = subnetOf(definition);
  if (stored !== undefined) return networkSave(system, db, { ...stored, routes: {}, device: null, tag: null, ...definition });
  if (definition.account !== null) await accountEnsure(system, db, definition.account);
  const name = `found-${definition.id.slice(0, 8)}`;
  await networkInsert(system, db, {
    isPublic: false,
    routes: {},
    device: null,
    tag: null,
    ...definition,
    // Whose a shared one was nobody knows any more: until it is said, the operator's.
    owners: definition.account === null ? [defaultAccount] : [],
    vlan: null,
    name,
    description: 'found on the host and taken over',
    rangeFirst: 1,
    rangeLast: size - 2,
    createdAt: new Date().toISOString(),
  });
  const external = await networkExternal(system, db);
  const place = external === undefined ? null : placeOf(subnetOf(external), definition.uplink);
  if (place === null) throw new CenoteError('internal', `network ${name} has an uplink that is none: ${definition.uplink}`);
  if ((await addressGet(system, db, externalNetwork, place)) === undefined) await addressClaim(system, db, externalNetwork, place, { uplinkOf: definition.id });
};
