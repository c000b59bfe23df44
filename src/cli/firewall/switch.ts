/** Turning machines' firewalls on and off, which is a change of each machine. */
import type { Context } from '../context.ts';
import { actOnMany } from '../machine/act.ts';

export const switchFirewall = async (
  context: Context,
  names: readonly string[],
  flags: { yes: boolean; noWait: boolean; json: boolean },
  on: boolean,
): Promise<number> => {
  const control = await context.control();
  const word = on ? 'on' : 'off';
  return actOnMany(context, names, flags, {
    words: [`turn ${word} the firewall of`, `turning ${word} the firewall of`, `turned ${word} the firewall of`],
    ask: (machine, options) => control.machineUpdate(machine.id, { firewallEnabled: on }, options),
  });
};
