/** Routers that are held by mounts in an instance's directory: of which networks they are, and which links lead to them, is in their names. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface HeldRouter {
  path: string;
  network: string;
  uplinkSlot: number;
}

const namePattern = /^(9\d{5})-([0-9a-f-]{36})$/;

export const pathOfRouter = (directory: string, uplinkSlot: number, network: string): string => join(directory, `${uplinkSlot}-${network}`);

export const heldRouters = (directory: string): HeldRouter[] => {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return []; // none was ever made
  }
  return names.flatMap((name) => {
    const [, slot, network] = namePattern.exec(name) ?? [];
    return slot === undefined || network === undefined ? [] : [{ path: join(directory, name), network, uplinkSlot: Number(slot) }];
  });
};
