import { defineCommand, one } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { selectMachine } from '../select.ts';
import { selectNic } from './select.ts';

export const command = defineCommand({
  detail: 'While the machine runs; its other NICs are not touched. The primary one stays until another is.',
  args: { name: one('NAME', 'machine'), network: one('NETWORK', 'network') },
  flags: {},
  examples: ['nic remove web back'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const nic = await selectNic(context, machine, args.network);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `taking a NIC from ${machine.name}`, machine: machine.id }, (options) =>
      control.machineNicRemove(machine.id, nic.mac, options),
    );
    if (flags.json) context.output.json(accepted);
    else context.output.line(`${machine.name} is no longer on network ${nic.networkName}`);
  },
});
