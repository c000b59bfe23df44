import { nicsOf } from '../../model/nics.ts';
import { defineCommand, one, parsed, toggle } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { parseAddress } from '../network/values.ts';
import { selectNetwork } from '../network/select.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  detail: 'While the machine runs; it is not restarted. A machine has one NIC on a network, and 32 at most.',
  args: { name: one('NAME', 'machine'), network: one('NETWORK', 'network') },
  flags: {
    address: parsed('ADDRESS', parseAddress, 'this address, which must be free', { short: 'a' }),
    primary: toggle('its gateway becomes the way to everywhere else'),
  },
  examples: ['nic add web back', 'nic add web back --address 192.168.10.9'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const network = await selectNetwork(context, args.network);
    const control = await context.control();
    const wish = { network: network.id, primary: flags.primary, ...(flags.address === undefined ? {} : { address: flags.address }) };
    const accepted = await finishJob(context, { doing: `adding a NIC to ${machine.name}`, machine: machine.id }, (options) =>
      control.machineNicAdd(machine.id, wish, options),
    );
    if (flags.json) return context.output.json(accepted);
    const nic = nicsOf(accepted.machine!).find((one) => one.network === network.id)!;
    context.output.line(`${machine.name} is on network ${network.name}: eth${nic.index}, ${nic.address}`);
  },
});
