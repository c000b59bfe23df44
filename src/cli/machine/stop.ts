import { defineCommand, parsed, some } from '../command.ts';
import type { Context } from '../context.ts';
import { parseGrace } from '../format.ts';
import { pickMany, wantYes } from '../select.ts';
import { actOnMany, manyFlags } from './act.ts';

export const command = defineCommand({
  args: { names: some('NAME', 'machine') },
  flags: { ...manyFlags, grace: parsed('TIME', parseGrace, 'time between the stop signal and the kill, such as 30s') },
  examples: ['stop web', 'stop web --grace 30s', "stop 'web-*' --yes", '--agent stop web'],
  run: async ({ args, flags }, context) => {
    if (context.config.agent) return stopByAgent(context, args.names, flags);
    const control = await context.control();
    const body = flags.grace === undefined ? {} : { graceSeconds: flags.grace };
    return actOnMany(context, args.names, flags, {
      words: ['stop', 'stopping', 'stopped'],
      ask: (machine, options) => control.machineStop(machine.id, body, options),
    });
  },
});

/** Without the control plane: one after another, and the agent's own answer. The control plane continues from the higher generation. */
const stopByAgent = async (context: Context, names: readonly string[], flags: { yes: boolean; json: boolean; grace: number | undefined }): Promise<void> => {
  const agent = await context.agent();
  const all = (await agent.machineList({ signal: context.signal })).map((machine) => ({
    id: machine.id,
    name: machine.spec.name,
    generation: machine.generation,
  }));
  const machines = pickMany(all, names);
  wantYes('stop', names, machines, flags.yes);
  for (const machine of machines) {
    const action = { generation: machine.generation + 1, ...(flags.grace === undefined ? {} : { graceSeconds: flags.grace }) };
    const status = await agent.machineStop(machine.id, action, { signal: context.signal });
    if (flags.json) context.output.jsonLine(status);
    else context.output.line(`stopped ${machine.name}`);
  }
};
