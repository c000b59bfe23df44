/** Who gives back how much: the largest borrowers relative to their guarantees come down first, to the same multiple of it, and nobody below the guarantee. */
export interface Borrower {
  id: string;
  usedBytes: number;
  guaranteeBytes: number;
}

/** What each is to be brought down to so that together they give `demandBytes` back, or all they have borrowed where that is less. */
export const fairTargets = (borrowers: readonly Borrower[], demandBytes: number): Map<string, number> => {
  const ratio = ({ usedBytes, guaranteeBytes }: Borrower) => usedBytes / Math.max(1, guaranteeBytes);
  const sorted = borrowers.filter((one) => one.usedBytes > one.guaranteeBytes).toSorted((a, b) => ratio(b) - ratio(a));
  let used = 0;
  let guaranteed = 0;
  let level = 1;
  for (const [index, one] of sorted.entries()) {
    used += one.usedBytes;
    guaranteed += Math.max(1, one.guaranteeBytes);
    // The multiple at which these, all at it, have given enough. Once it is above what the next has, the next gives nothing.
    level = Math.max(1, (used - demandBytes) / guaranteed);
    const next = sorted[index + 1];
    if (next === undefined || level >= ratio(next)) break;
  }
  if (demandBytes <= 0) return new Map(sorted.map((one) => [one.id, one.usedBytes]));
  return new Map(sorted.map((one) => [one.id, Math.min(one.usedBytes, Math.max(one.guaranteeBytes, Math.floor(level * one.guaranteeBytes)))]));
};
