/** Rules whose changes the cache of flows is told of: what is in force is in force for what it knows as well. */
import type { NftRunner } from '../../../sys/nftables.ts';
import type { FlowCache } from './flow-cache.ts';

export const forgetting = (nftables: NftRunner, cache: FlowCache | undefined): NftRunner => {
  if (cache === undefined) return nftables;
  const telling = <Result>(change: () => Result): Result => {
    try {
      return change();
    } finally {
      cache.forget();
    }
  };
  return {
    run: (commands) => telling(() => nftables.run(commands)),
    change: (changes) => telling(() => nftables.change(changes)),
    hasTable: (name) => nftables.hasTable(name),
  };
};
