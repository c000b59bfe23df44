/** How many requests an account, or an address, may make: a bucket that fills at a steady rate. */

export interface Rate {
  perSecond: number;
  burst: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

export interface Taken {
  allowed: boolean;
  remaining: number;
  /** Until there is a token again. */
  waitSeconds: number;
}

const mostBuckets = 20_000;

export class Rates {
  readonly #rate: Rate;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  get limit(): number {
    return this.#rate.burst;
  }

  take(who: string, now = performance.now()): Taken {
    const { perSecond, burst } = this.#rate;
    const bucket = this.#buckets.get(who) ?? this.#add(who, now);
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond);
    bucket.at = now;
    const allowed = bucket.tokens >= 1;
    if (allowed) bucket.tokens -= 1;
    return { allowed, remaining: Math.floor(bucket.tokens), waitSeconds: Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond)) };
  }

  /** Whoever has been away for long has a full bucket, so forgetting it changes nothing. */
  #add(who: string, now: number): Bucket {
    if (this.#buckets.size >= mostBuckets) {
      const full = (this.#rate.burst / this.#rate.perSecond) * 1000;
      for (const [name, { at }] of this.#buckets) if (now - at > full) this.#buckets.delete(name);
      if (this.#buckets.size >= mostBuckets) this.#buckets.clear();
    }
    const bucket = { tokens: this.#rate.burst, at: now };
    this.#buckets.set(who, bucket);
    return bucket;
  }
}
