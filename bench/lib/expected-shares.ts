/** How CPU is to be divided by weights among groups that can use no more than a core for each of their threads. */
export const expectedShares = (weights: readonly number[], threads: readonly number[], cpus: number): number[] => {
  const most = threads.map((count) => Math.min(count, cpus));
  const shares = weights.map(() => 0);
  let open = weights.map((_, index) => index);
  let left = Math.min(
    cpus,
    most.reduce((sum, one) => sum + one, 0),
  );
  while (open.length > 0) {
    const total = open.reduce((sum, index) => sum + weights[index]!, 0);
    const full = open.filter((index) => (left * weights[index]!) / total >= most[index]!);
    if (full.length === 0) {
      for (const index of open) shares[index] = (left * weights[index]!) / total;
      break;
    }
    for (const index of full) {
      shares[index] = most[index]!;
      left -= most[index]!;
    }
    open = open.filter((index) => !full.includes(index));
  }
  const sum = shares.reduce((all, one) => all + one, 0);
  return shares.map((one) => one / sum);
};
