/** What a machine's first process runs. */
import { invalid } from '../base/errors.ts';
import type { MachineSpec } from './machine.ts';

/** The OCI rule: Entrypoint followed by Cmd; the machine's own command replaces both. */
export const commandOf = ({ command, config, image }: Pick<MachineSpec, 'command' | 'config' | 'image'>): string[] => {
  const words = command ?? [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (words.length === 0) throw invalid('command', `image ${image.name} has no command of its own; name one`, 'add it after --');
  return words;
};
