/**
 * Names, ports and addresses of machines that the host has and the store had otherwise. Where a machine that the host does not have claims
 * the same, it gives way; of two that the host has, the second is shown under a name of its own.
 */
import { shortId } from '../../base/ids.ts';
import { subnetOf } from '../../model/network.ts';
import { nicsOf, placesOfNics } from '../../model/nics.ts';
import { placeOf } from '../../model/subnet.ts';
import { addressClaim, addressGet } from '../../store/address.ts';
import { systemContext as system } from '../../store/context.ts';
import { accountEnsure } from '../../store/account.ts';
import {
  machineDropClaims,
  machineFind,
  machineInsert,
  machineNameHolder,
  machinePortHolder,
  machineSave,
  machineSaveTags,
  machineSettleClaims,
} from '../../store/machine.ts';
import type { StoredMachine } from '../../store/machine.ts';
import { networkListByIds } from '../../store/network.ts';
import type { Db } from '../../store/store.ts';

export const takeClaims = async (
  db: Db,
  adopted: readonly StoredMachine[],
  moved: readonly StoredMachine[],
  isOnHost: (id: string) => boolean,
): Promise<void> => {
  await machineDropClaims(
    system,
    db,
    moved.map(({ machine }) => machine.id),
  );
  for (const stored of moved) {
    await makeWay(db, stored, isOnHost);
    await machineSave(system, db, stored);
    await machineSaveTags(system, db, stored.machine);
    await machineSettleClaims(system, db, stored.machine);
    await claimAddresses(db, stored, isOnHost);
  }
  for (const stored of adopted) {
    await accountEnsure(system, db, stored.machine.account);
    await makeWay(db, stored, isOnHost);
    await machineInsert(system, db, stored);
    await claimAddresses(db, stored, isOnHost);
  }
};

const makeWay = async (db: Db, stored: StoredMachine, isOnHost: (id: string) => boolean): Promise<void> => {
  const { machine } = stored;
  const nameHolder = await machineNameHolder(system, db, machine.account, machine.name);
  if (nameHolder !== undefined && nameHolder !== machine.id) {
    if (isOnHost(nameHolder)) machine.name = ownName(stored);
    else {
      await change(db, nameHolder, (other) => {
        other.machine.name = ownName(other);
      });
    }
  }
  for (const port of machine.publish) {
    const holder = await machinePortHolder(system, db, port);
    if (holder === undefined || holder === machine.id) continue;
    const drop = (one: StoredMachine) => {
      one.machine.publish = one.machine.publish.filter((other) => other.hostPort !== port.hostPort || other.protocol !== port.protocol);
    };
    if (isOnHost(holder)) drop(stored);
    else await change(db, holder, drop);
  }
};

/** An address that a machine which is on the host has stays with it; from one that is not, it is taken. */
const claimAddresses = async (db: Db, { machine }: StoredMachine, isOnHost: (id: string) => boolean): Promise<void> => {
  const nics = placesOfNics(nicsOf(machine));
  const networks = new Map(
    (
      await networkListByIds(
        system,
        db,
        nics.map(({ network }) => network),
      )
    ).map((network) => [network.id, network]),
  );
  for (const { network, address } of nics) {
    const known = networks.get(network);
    const place = known === undefined ? null : placeOf(subnetOf(known), address);
    if (place === null) continue;
    const held = await addressGet(system, db, network, place);
    const { uplink_of: uplinkOf, account, machine: holder } = held ?? { uplink_of: null, account: null, machine: null };
    if (uplinkOf !== null || account !== null || (holder !== null && holder !== machine.id && isOnHost(holder))) continue;
    await addressClaim(system, db, network, place, { machine: machine.id });
  }
};

const ownName = ({ machine }: StoredMachine): string => `${machine.name.slice(0, 54)}-${shortId(machine.id)}`;

const change = async (db: Db, id: string, edit: (stored: StoredMachine) => void): Promise<void> => {
  const stored = await machineFind(system, db, id);
  if (stored === undefined) return;
  edit(stored);
  await machineSave(system, db, stored);
  await machineSettleClaims(system, db, stored.machine);
};
