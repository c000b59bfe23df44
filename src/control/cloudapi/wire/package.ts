/**
 * A package as CloudAPI shows it. Guarantees are its sizes, since they are what a machine surely has; `swap` is all the memory it may come to
 * use, and `cpu_cap` (an addition) its CPU ceiling in percent of a core.
 */
import { Type } from 'typebox';
import type { Package } from '../../../model/resources.ts';
import { publicId } from '../../../model/public-id.ts';

export const WirePackage = Type.Object({
  id: Type.String({ format: 'uuid' }),
  name: Type.String(),
  memory: Type.Integer({ description: 'MiB, guaranteed' }),
  disk: Type.Integer({ description: 'MiB' }),
  swap: Type.Integer({ description: 'MiB, the most memory it may use; as `memory` where there is no such limit' }),
  lwps: Type.Integer(),
  vcpus: Type.Number({ description: 'cores, guaranteed' }),
  version: Type.String(),
  group: Type.String(),
  description: Type.String(),
  default: Type.Boolean(),
});

export const packageId = (name: string, version: number): string => publicId('package', `${name}@${version}`);

export const packageWire = ({ name, version, resources }: Package) => ({
  id: packageId(name, version),
  name,
  memory: resources.memoryMib,
  disk: resources.diskMib,
  swap: Math.max(resources.memoryMib, resources.memoryCeilingMib ?? 0),
  lwps: resources.processes,
  vcpus: resources.cpuMillis / 1000,
  version: `${version}.0.0`,
  group: '',
  description: '',
  default: false,
});
