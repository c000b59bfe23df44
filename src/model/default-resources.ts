/** What a machine has of what nobody asked for, and the packages that are there from the start. Apart from the schemas, which the command line does without. */
import type { Resources } from './resources.ts';

/** Of what came later than a machine's CPU, memory, disk and processes: no limits, the same share of the disk as any other. */
export const unlimited = {
  cpuCeilingMillis: null,
  burst: null,
  memoryCeilingMib: null,
  processes: 1024,
  ioWeight: 100,
  ioReadMibps: null,
  ioWriteMibps: null,
  ioReadIops: null,
  ioWriteIops: null,
  networkMbps: 0,
  networkCeilingMbps: null,
} as const satisfies Partial<Resources>;

/** Small guarantees, so that a small host holds many machines: without a ceiling each may take what is idle. */
export const defaultResources: Resources = { ...unlimited, cpuMillis: 20, memoryMib: 64, diskMib: 1024 };

/** Resources as they were stored before all of today's numbers existed. */
export const completeResources = (stored: Partial<Resources>): Resources => ({ ...defaultResources, ...stored });

/** What there is to choose from without making any: each has what is idle beside its guarantee. */
export const defaultCatalogue: readonly { name: string; resources: Resources }[] = [
  { name: 'tiny', resources: { ...unlimited, cpuMillis: 20, memoryMib: 64, diskMib: 1024, processes: 512 } },
  { name: 'small', resources: { ...unlimited, cpuMillis: 125, memoryMib: 256, diskMib: 5 * 1024 } },
  { name: 'medium', resources: { ...unlimited, cpuMillis: 500, memoryMib: 1024, diskMib: 10 * 1024, processes: 2048 } },
  { name: 'large', resources: { ...unlimited, cpuMillis: 1000, memoryMib: 4 * 1024, diskMib: 25 * 1024, processes: 4096 } },
  { name: 'huge', resources: { ...unlimited, cpuMillis: 4000, memoryMib: 16 * 1024, diskMib: 100 * 1024, processes: 8192 } },
];
