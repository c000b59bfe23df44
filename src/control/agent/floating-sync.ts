/**
 * Tells the host whose floating addresses are: a change at once, and what it may have missed when the tie to it is made anew. Where the host
 * knows more (the store may be an old copy), it is believed.
 */
import type { AgentClient } from '../../client/agent.ts';
import { subnetOf, wiredOf } from '../../model/network.ts';
import type { FloatingState } from '../../model/network.ts';
import { placeOf } from '../../model/subnet.ts';
import { addressGet } from '../../store/address.ts';
import { systemContext as system } from '../../store/context.ts';
import { floatingInsert, floatingListAll } from '../../store/floating.ts';
import type { StoredFloating } from '../../store/floating.ts';
import { machineFind } from '../../store/machine.ts';
import { definitionOf, networkListByIds, networkListShared } from '../../store/network.ts';
import type { Db, Store } from '../../store/store.ts';

export class FloatingSync {
  readonly #store: Store;
  readonly #agent: AgentClient;

  constructor(store: Store, agent: AgentClient) {
    this.#store = store;
    this.#agent = agent;
  }

  /** The host has it when it resolves. */
  async tell({ address, machine, version, network: id }: StoredFloating, signal?: AbortSignal): Promise<void> {
    const [network] = await networkListByIds(system, this.#store.db, [id]);
    const wired = network === undefined ? null : wiredOf(definitionOf(network));
    await this.#agent.floatingPut({ address, machine, version, ...(wired === null ? {} : { wired }) }, { signal });
  }

  /** When the tie is made, after machines were compared. Whether anything leads elsewhere than was known here. */
  async compare(signal: AbortSignal): Promise<boolean> {
    let isChanged = false;
    const there = new Map((await this.#agent.floatingList({ signal })).map((state) => [state.address, state]));
    const stored = new Map((await floatingListAll(system, this.#store.db)).map((one) => [one.address, one]));
    for (const one of stored.values()) if ((there.get(one.address)?.version ?? 0) < one.version) await this.tell(one, signal);
    for (const state of there.values()) {
      const known = stored.get(state.address);
      if (known === undefined ? state.machine === null : known.version >= state.version) continue;
      const isTaken = await this.#store.transactionRepeatable((db) => take(db, state, known));
      if (isTaken) isChanged = true;
      else await this.#agent.floatingPut({ ...state, machine: null, version: state.version + 1 }, { signal });
    }
    return isChanged;
  }
}

/** False: it is nobody's, as far as is known here. */
const take = async (db: Db, { address, machine, version }: FloatingState, known: StoredFloating | undefined): Promise<boolean> => {
  const account = machine === null ? known?.account : (await machineFind(system, db, machine))?.machine.account;
  const network = (await networkListShared(system, db)).find((one) => placeOf(subnetOf(one), address) !== null);
  if (account === undefined || network === undefined) return false;
  const held = await addressGet(system, db, network.id, placeOf(subnetOf(network), address)!);
  if (known === undefined && held !== undefined && (held.machine ?? held.uplink_of ?? held.account) !== null) return false;
  await floatingInsert(system, db, { address, network: network.id, networkName: network.name, account, machine, version });
  return true;
};
