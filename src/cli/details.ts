/** One thing as `name: value` lines; what is empty is left out. */
import { displayWidth, printable } from './table.ts';

export type Detail = readonly [name: string, value: string | number | null | undefined | readonly string[]];

export const detailLines = (details: readonly Detail[]): string[] => {
  const shown = details.filter(([, value]) => value !== null && value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0));
  const width = Math.max(0, ...shown.map(([name]) => displayWidth(name)));
  return shown.flatMap(([name, value]) => {
    const values = (Array.isArray(value) ? (value as readonly string[]) : [String(value)]).map(printable);
    return values.map((text, index) => `${index === 0 ? `${name}:`.padEnd(width + 1) : ' '.repeat(width + 1)} ${text}`);
  });
};
