/**
 * How many answers an address block gets in datagrams. Whoever asks in another's name wants answers sent there; past the rate some of them
 * are cut short, so that a real asker comes back over TCP, and the others are not sent.
 */
import { isIPv4 } from 'node:net';
import { ipv6Words } from './ipv6.ts';

export interface ResponseRateOptions {
  perSecond: number;
  /** Seconds of it that may come at once. */
  burstSeconds: number;
}

export type Verdict = 'send' | 'truncate' | 'drop';

interface Bucket {
  left: number;
  at: number;
  over: number;
}

/** More blocks than this are not told apart: all are counted anew. */
const mostBlocks = 65_536;
/** Past the rate, one of so many is cut short rather than dropped. */
const truncateOneOf = 2;

export class ResponseRate {
  readonly #options: ResponseRateOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: ResponseRateOptions) {
    this.#options = options;
  }

  take(address: string, nowMs: number): Verdict {
    // Nobody else can send from there.
    if (address.startsWith('127.') || address === '::1') return 'send';
    const { perSecond, burstSeconds } = this.#options;
    const key = blockOf(address);
    const most = perSecond * burstSeconds;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= mostBlocks) this.#buckets.clear();
      this.#buckets.set(key, (bucket = { left: most, at: nowMs, over: 0 }));
    }
    bucket.left = Math.min(most, bucket.left + ((nowMs - bucket.at) / 1000) * perSecond);
    bucket.at = nowMs;
    if (bucket.left >= 1) {
      bucket.left -= 1;
      return 'send';
    }
    bucket.over += 1;
    return bucket.over % truncateOneOf === 0 ? 'truncate' : 'drop';
  }
}

/** A /24 of IPv4, a /56 of IPv6: what one sender may have. */
const blockOf = (address: string): string => {
  if (isIPv4(address)) return address.slice(0, address.lastIndexOf('.'));
  const words = ipv6Words(address.replace(/%.*$/, ''));
  return [...words.slice(0, 3), (words[3] ?? 0) & 0xff00].join(':');
};
