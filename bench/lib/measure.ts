/** Taking times: one after another, or so many at once. */

export const timed = async (action: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await action();
  return performance.now() - start;
};

export interface Burst {
  samples: number[];
  failures: string[];
  seconds: number;
  /** Successes a second over the whole burst. */
  perSecond: number;
}

/** `count` actions, `atOnce` of them under way at any time. A failure is kept and told, not thrown. */
export const burst = async (count: number, atOnce: number, action: (index: number) => Promise<unknown>): Promise<Burst> => {
  const samples: number[] = [];
  const failures: string[] = [];
  let next = 0;
  const start = performance.now();
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      try {
        samples.push(await timed(() => action(index)));
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  const seconds = (performance.now() - start) / 1000;
  return { samples, failures, seconds, perSecond: samples.length / seconds };
};

/** Every failure of a benchmark is a failure of what it measures: none may be passed over. */
export const demandAll = (what: string, { failures }: Burst): void => {
  if (failures.length > 0) throw new Error(`${what}: ${failures.length} failed, first: ${failures[0]}`);
};
