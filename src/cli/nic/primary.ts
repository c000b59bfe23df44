import { defineCommand, one } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { selectMachine } from '../select.ts';
import { selectNic } from './select.ts';

export const command = defineCommand({
  detail:
    'While the machine runs, in one action: its gateway becomes the way to everywhere else, ports are published there, and its address is the one in lists. The former primary one stays as one among others.',
  args: { name: one('NAME', 'machine'), network: one('NETWORK', 'network') },
  flags: {},
  examples: ['nic primary web back'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const nic = await selectNic(context, machine, args.network);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `turning ${machine.name} to another network`, machine: machine.id }, (options) =>
      control.machineNicMakePrimary(machine.id, nic.mac, options),
    );
    if (flags.json) context.output.json(accepted);
    else context.output.line(`${machine.name} has network ${nic.networkName} as its primary one: eth${nic.index}, ${nic.address}`);
  },
});
