/** Sizes and CPU shares as people write them. Inside the project sizes are whole MiB and CPU is thousandths of a core. */
import { invalid } from './errors.ts';

const sizeFactorsMib = { M: 1, G: 1024, T: 1024 * 1024 } as const;
const largestMib = 1024 * 1024 * 1024;

/** `256M`, `5G`, `1.5G`, `1T`, with optional `iB`, `i` or `B`; the result is whole MiB. */
export const parseSizeMib = (field: string, text: string, leastMib = 1): number => {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)([MGT])i?B?$/i.exec(text.trim());
  if (match === null) throw invalid(field, `"${text}" is not a size`, 'write a number with M, G or T, such as 256M or 5G');
  const mib = Number(match[1]) * sizeFactorsMib[match[2]!.toUpperCase() as keyof typeof sizeFactorsMib];
  if (!Number.isInteger(mib)) throw invalid(field, `"${text}" is not a whole number of MiB`, `write ${Math.max(leastMib, Math.round(mib))}M, for one`);
  if (mib < leastMib || mib > largestMib) throw invalid(field, `"${text}" is out of range (${leastMib}M to 1024T)`);
  return mib;
};

/** `0.5`, `2`, `1.25` cores; the result is thousandths of a core. */
export const parseCpuMillis = (field: string, text: string, leastMillis = 1): number => {
  const match = /^\d{1,5}(?:\.\d{1,3})?$/.exec(text.trim());
  if (match === null) throw invalid(field, `"${text}" is not a number of cores`, 'write cores with up to three decimals, such as 0.5 or 2');
  const millis = Math.round(Number(text) * 1000);
  if (millis < leastMillis || millis > 10_000_000) throw invalid(field, `"${text}" is out of range (${leastMillis / 1000} to 10000 cores)`);
  return millis;
};

/** 512 -> `512M`, 1536 -> `1.5G`, 5120 -> `5G`. */
export const formatMib = (mib: number): string => {
  if (Math.round(mib) < 1024) return `${Math.round(mib)}M`;
  const [value, unit] = mib < 1024 * 1024 ? [mib / 1024, 'G'] : [mib / (1024 * 1024), 'T'];
  return `${Number(value.toFixed(value < 10 ? 2 : 1))}${unit}`;
};

/** 2048 -> `2G`, 2050 -> `2050M`: to the last MiB, for what is refused by one. */
export const exactMib = (mib: number): string => (mib === 0 || mib % 1024 !== 0 ? `${mib}M` : `${mib / 1024}G`);

/** 500 -> `0.5`. */
export const formatCpu = (millis: number): string => String(Number((millis / 1000).toFixed(3)));
export const formatCores = (millis: number): string => `${formatCpu(millis)} ${millis === 1000 ? 'core' : 'cores'}`;

export const mibOfBytes = (bytes: number): number => bytes / (1024 * 1024);
export const bytesOfMib = (mib: number): number => mib * 1024 * 1024;
