import { defineCommand, one, some } from '../command.ts';
import { plural } from '../format.ts';
import { finishJob } from '../jobs.ts';
import { readValue } from '../read-text.ts';
import { selectMachine } from '../select.ts';
import { pairsToRecord, parseMetadata } from '../values.ts';

export const command = defineCommand({
  detail: 'Seen inside at once, without a restart; user-script is run at the next start. @FILE is the content of a file, @- standard input.',
  args: { name: one('NAME', 'machine'), values: some('K=V') },
  flags: {},
  examples: ['metadata set web motd=hello', 'metadata set web user-script=@setup.sh'],
  run: async ({ args, flags }, context) => {
    const pairs = args.values.map((text) => parseMetadata('K=V', text));
    const values = pairsToRecord(await Promise.all(pairs.map(async ([key, value]) => [key, await readValue(key, value)] as const)));
    const machine = await selectMachine(context, args.name);
    const control = await context.control();
    const accepted = await finishJob(context, { doing: `changing the metadata of ${machine.name}`, machine: machine.id }, (options) =>
      control.machineMetadata(machine.id, { mode: 'merge', values }, options),
    );
    if (flags.json) context.output.json(accepted);
    else context.output.line(`set ${plural(Object.keys(values).length, 'key')} of ${machine.name}`);
  },
});
