/** What an image that is made of a machine is: its kind, and what machines of it run. */
import type { ImageConfig } from '../../model/image.ts';
import type { MachineSpec } from '../../model/machine.ts';

export const imageRequestOf = (id: string, spec: MachineSpec) => ({ id, name: imageNameOf(id), ...contentOf(spec) });

/** Names of accounts' images are the accounts' own; the host knows them by these. */
export const imageNameOf = (id: string): string => `i-${id}`;

export const contentOf = (spec: MachineSpec) => ({ kind: spec.platform === null ? 'system' : 'app', config: configOf(spec), fromMachine: spec.id }) as const;

/** What the machine runs is what machines of the image run. Its environment stays its own: passwords are handed over there. */
export const configOf = ({ config, command }: MachineSpec): ImageConfig => {
  if (command === null) return config;
  const { Entrypoint: _replaced, ...rest } = config;
  return { ...rest, Cmd: command };
};
