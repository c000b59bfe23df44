/** The same for many, some at a time; all are tried, then the first failure is thrown. */
export const eachAtMost = async <Item>(atOnce: number, items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> => {
  const queue = [...items];
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  if (failures.length > 0) throw failures[0];
};
