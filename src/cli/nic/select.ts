/** A machine's NIC, by the network that it is on. */
import { CenoteError } from '../../base/errors.ts';
import type { MachineNic } from '../../model/network-api.ts';
import type { Context } from '../context.ts';
import { selectNetwork } from '../network/select.ts';

export const selectNic = async (context: Context, machine: { id: string; name: string }, word: string): Promise<MachineNic> => {
  const network = await selectNetwork(context, word);
  const nics = await (await context.control()).machineNicList(machine.id, { signal: context.signal });
  const nic = nics.find((one) => one.network === network.id);
  if (nic !== undefined) return nic;
  throw new CenoteError('not_found', `${machine.name} has no NIC on network ${network.name}`, { advice: `see what it has: cenote nic ls ${machine.name}` });
};
