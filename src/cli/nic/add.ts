import { invalid } from '../../base/errors.ts';
import { nicsOf } from '../../model/nics.ts';
import { defineCommand, one, parsed, toggle } from '../command.ts';
import { finishJob } from '../jobs.ts';
import { parseAddress, parseNic } from '../network/values.ts';
import { selectPlace } from '../network/select.ts';
import { selectMachine } from '../select.ts';

export const command = defineCommand({
  detail:
    'While the machine runs; it is not restarted. A machine has one NIC on a network, and 32 at most. Of a network pool it is the first network that has an address to give.',
  args: { name: one('NAME', 'machine'), network: one('NETWORK[=ADDRESS]', 'network') },
  flags: {
    address: parsed('ADDRESS', parseAddress, 'this address, which must be free', { short: 'a' }),
    primary: toggle('its gateway becomes the way to everywhere else'),
  },
  examples: ['nic add web back', 'nic add web back=192.168.10.9'],
  run: async ({ args, flags }, context) => {
    const wanted = parseNic('NETWORK', args.network);
    if (wanted.address !== undefined && flags.address !== undefined) throw invalid('--address', 'an address is given with the network already');
    const address = wanted.address ?? flags.address;
    const machine = await selectMachine(context, args.name);
    const place = await selectPlace(context, wanted.network);
    const control = await context.control();
    const wish = { network: place.id, primary: flags.primary, ...(address === undefined ? {} : { address }) };
    const accepted = await finishJob(context, { doing: `adding a NIC to ${machine.name}`, machine: machine.id }, (options) =>
      control.machineNicAdd(machine.id, wish, options),
    );
    if (flags.json) return context.output.json(accepted);
    const nics = await control.machineNicList(machine.id, { signal: context.signal });
    const nic = nics.find((one) => !nicsOf(machine).some(({ network }) => network === one.network))!;
    context.output.line(`${machine.name} is on network ${nic.networkName}: eth${nic.index}, ${nic.address}`);
  },
});
