/**
 * Names, ports and addresses of machines that the host has and the store had otherwise. Where a machine that the host does not have claims
 * the same, it gives way; of two that the host has, the second is shown under a name of its own.
 */
import { shortId } from '../../base/ids.ts';
import { systemContext as system } from '../../store/context.ts';
import { accountEnsure } from '../../store/account.ts';
import {
  machineAddressHolder,
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
import type { Db } from '../../store/store.ts';
import type { Subnet } from '../app/subnet.ts';

export const takeClaims = async (
  db: Db,
  adopted: readonly StoredMachine[],
  moved: readonly StoredMachine[],
  subnet: Subnet,
  isOnHost: (id: string) => boolean,
): Promise<void> => {
  await machineDropClaims(
    system,
    db,
    moved.map(({ machine }) => machine.id),
  );
  for (const stored of moved) {
    await makeWay(db, stored, subnet, isOnHost);
    await machineSave(system, db, stored);
    await machineSaveTags(system, db, stored.machine);
    await machineSettleClaims(system, db, stored.machine);
  }
  for (const stored of adopted) {
    await accountEnsure(system, db, stored.machine.account);
    await makeWay(db, stored, subnet, isOnHost);
    await machineInsert(system, db, stored);
  }
};

const makeWay = async (db: Db, stored: StoredMachine, subnet: Subnet, isOnHost: (id: string) => boolean): Promise<void> => {
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
  stored.address = subnet.placeOf(machine.address);
  const holder = stored.address === null ? undefined : await machineAddressHolder(system, db, stored.address);
  if (holder === undefined || holder === machine.id) return;
  if (isOnHost(holder)) stored.address = null;
  else {
    await change(db, holder, (other) => {
      other.address = null;
    });
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
