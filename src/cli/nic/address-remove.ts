import { defineCommand, one } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { parseAddress } from '../network/values.ts';
import { selectMachine } from '../select.ts';
import { selectNic } from './select.ts';

export const command = defineCommand({
  detail: 'While the machine runs. The first address of a NIC goes with the NIC.',
  args: { name: one('NAME', 'machine'), network: one('NETWORK', 'network'), address: one('ADDRESS') },
  flags: {},
  examples: ['nic address remove web back 192.168.10.9'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const nic = await selectNic(context, machine, args.network);
    const address = parseAddress('ADDRESS', args.address);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `taking an address from ${machine.name}`, machine: machine.id }, (options) =>
      control.machineAddressRemove(machine.id, nic.mac, address, options),
    );
    if (flags.json) context.output.json(accepted);
    else context.output.line(`${machine.name} no longer has ${address}`);
  },
});
