/** Sets of whole numbers as ranges. */
import type { PortRange as Range } from './rule.ts';

/** Sorted, apart from each other, and as few as there can be. */
export const unite = (ranges: readonly Range[]): Range[] => {
  const united: Range[] = [];
  for (const { from, to } of ranges.toSorted((one, other) => one.from - other.from)) {
    const last = united.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else united.push({ from, to });
  }
  return united;
};

/** Of united ranges, what is not in others, united as well. */
export const without = (ranges: readonly Range[], others: readonly Range[]): Range[] =>
  ranges.flatMap((range) => {
    const left: Range[] = [];
    let { from } = range;
    for (const other of others) {
      if (other.to < from || other.from > range.to) continue;
      if (other.from > from) left.push({ from, to: other.from - 1 });
      from = other.to + 1;
    }
    if (from <= range.to) left.push({ from, to: range.to });
    return left;
  });
