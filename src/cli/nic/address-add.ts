import { defineCommand, one, parsed } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { parseAddress } from '../network/values.ts';
import { selectMachine } from '../select.ts';
import { selectNic } from './select.ts';

export const command = defineCommand({
  detail: 'While the machine runs; it is not restarted. A NIC has 32 addresses at most; ports are published at the first.',
  args: { name: one('NAME', 'machine'), network: one('NETWORK', 'network') },
  flags: { address: parsed('ADDRESS', parseAddress, 'this address, which must be free (default the next of the network)', { short: 'a' }) },
  examples: ['nic address add web back', 'nic address add web back --address 192.168.10.9'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const nic = await selectNic(context, machine, args.network);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `adding an address to ${machine.name}`, machine: machine.id }, (options) =>
      control.machineAddressAdd(machine.id, nic.mac, flags.address === undefined ? {} : { address: flags.address }, options),
    );
    if (flags.json) return context.output.json(accepted);
    const now = await selectNic(context, machine, args.network);
    context.output.line(`${machine.name} has ${[now.address, ...(now.more ?? [])].join(', ')} on network ${now.networkName}`);
  },
});
