import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bankSeconds, effectiveMillis, isIdle, keepBank, openBank, restoreBank, settleAfterMs, settleBank } from './cpu-bank.ts';
import type { Bank, BankTerms } from './cpu-bank.ts';

const terms: BankTerms = { baselineMillis: 500, ceilingMillis: 2000, burstSeconds: 10 };

test('a bank that was empty when the agent ended is closed until it is looked at again, however full it is by then', () => {
  const empty = live(full(terms), terms, 2000, 60).bank;
  assert.ok(empty.isEmpty);
  const kept = keepBank(empty, { boot: 'one', upSeconds: 1000 });
  const restored = restoreBank(kept, terms, { atMs: 0, cpuSeconds: empty.readCpuSeconds }, { boot: 'one', upSeconds: 9000 });
  assert.equal(isIdle(restored, terms), false, 'it would stay at its baseline until its turn comes');
  const next = settleBank(restored, terms, { atMs: 1000, cpuSeconds: empty.readCpuSeconds });
  assert.deepEqual([next.isEmpty, isIdle(next, terms)], [false, true]);
});

/** A machine that takes all it gets, or what it wants where that is less, for so many seconds. */
const live = (start: Bank, own: BankTerms, wantsMillis: number, seconds: number): { bank: Bank; cpuSeconds: number } => {
  let bank = start;
  let cpuSeconds = bank.readCpuSeconds;
  for (let atMs = bank.readAtMs, end = atMs + seconds * 1000; atMs < end;) {
    const after = Math.min(settleAfterMs(bank, own), end - atMs);
    atMs += after;
    cpuSeconds += (Math.min(wantsMillis, effectiveMillis(bank, own)) / 1000) * (after / 1000);
    bank = settleBank(bank, own, { atMs, cpuSeconds });
  }
  return { bank, cpuSeconds };
};
const full = (own: BankTerms): Bank => openBank(own, { atMs: 0, cpuSeconds: 0 }, false);

test('it bursts for as long as it was given, and is then at its baseline', () => {
  const burst = live(full(terms), terms, 4000, 9.9);
  assert.equal(burst.bank.isEmpty, false);
  assert.ok(bankSeconds(burst.bank, terms) < 0.11);
  const emptied = live(burst.bank, terms, 4000, 1);
  assert.equal(effectiveMillis(emptied.bank, terms), 500);
  assert.equal(effectiveMillis(live(emptied.bank, terms, 4000, 60).bank, terms), 500, 'as long as it wants more');
});

test('what it leaves is paid in, up to a full bank', () => {
  const emptied = live(full(terms), terms, 4000, 20).bank;
  // A second at the ceiling is 1.5 core-seconds above the baseline: three seconds of doing nothing.
  const rested = live(emptied, terms, 0, 4).bank;
  assert.equal(effectiveMillis(rested, terms), 2000);
  assert.ok(Math.abs(bankSeconds(live(emptied, terms, 0, 3600).bank, terms) - 10) < 1e-9);
});

test('counters tell how long it was above and below', () => {
  const { bank } = live(live(full(terms), terms, 2000, 5).bank, terms, 100, 7);
  assert.ok(Math.abs(bank.aboveBaseSeconds - 5) < 1e-9 && Math.abs(bank.belowBaseSeconds - 7) < 1e-9);
});

test('over any time nobody takes more than baseline and a bank', () => {
  const anyTerms = fc
    .record({ baselineMillis: fc.integer({ min: 10, max: 2000 }), more: fc.integer({ min: 0, max: 4000 }), burstSeconds: fc.integer({ min: 1, max: 600 }) })
    .map(({ baselineMillis, more, burstSeconds }) => ({ baselineMillis, ceilingMillis: baselineMillis + more, burstSeconds }));
  const lives = fc.array(fc.record({ wantsMillis: fc.integer({ min: 0, max: 8000 }), seconds: fc.integer({ min: 1, max: 100 }) }), { maxLength: 20 });
  fc.assert(
    fc.property(anyTerms, lives, (own, all) => {
      let bank = full(own);
      let cpuSeconds = 0;
      for (const { wantsMillis, seconds } of all) ({ bank, cpuSeconds } = live(bank, own, wantsMillis, seconds));
      const span = (own.ceilingMillis - own.baselineMillis) / 1000;
      const most = (own.baselineMillis / 1000) * (bank.readAtMs / 1000) + own.burstSeconds * span + 0.06 * span * all.length;
      assert.ok(cpuSeconds <= most + 1e-6, `${cpuSeconds} of at most ${most}`);
      assert.ok(bank.balance >= 0);
    }),
  );
});

test('what the kernel says after a start counts where nothing is on record: an emptied bank is not full again', () => {
  assert.equal(openBank(terms, { atMs: 0, cpuSeconds: 100 }, true).balance, 0);
  assert.equal(openBank(terms, { atMs: 0, cpuSeconds: 100 }, false).balance, 15);
});

test('a bank that nobody looked at is never fuller than one that was looked at all the time', () => {
  const work = fc.array(fc.record({ wantsMillis: fc.integer({ min: 0, max: 8000 }), seconds: fc.integer({ min: 1, max: 40 }) }), { maxLength: 8 });
  fc.assert(
    fc.property(work, work, (before, unseen) => {
      let bank = full(terms);
      for (const { wantsMillis, seconds } of before) ({ bank } = live(bank, terms, wantsMillis, seconds));
      const clock = (atMs: number) => ({ boot: 'one', upSeconds: 1000 + atMs / 1000 });
      const kept = keepBank(bank, clock(bank.readAtMs));
      const quota = effectiveMillis(bank, terms);
      let seen = bank;
      for (const { wantsMillis, seconds } of unseen)
        for (let left = seconds * 20; left > 0; left -= 1)
          seen = settleBank(seen, terms, { atMs: seen.readAtMs + 50, cpuSeconds: seen.readCpuSeconds + Math.min(wantsMillis, quota) / 20_000 });
      const read = { atMs: 5, cpuSeconds: seen.readCpuSeconds };
      assert.ok(restoreBank(kept, terms, read, clock(seen.readAtMs)).balance <= seen.balance + 1e-6);
    }),
  );
});

test('neither a restart of the machine nor one of the host fills a bank', () => {
  const kept = keepBank(live(full(terms), terms, 2000, 5).bank, { boot: 'one', upSeconds: 1000 });
  assert.ok(Math.abs(restoreBank(kept, terms, { atMs: 0, cpuSeconds: 0.5 }, { boot: 'one', upSeconds: 1002 }).balance - 8) < 1e-9);
  assert.ok(Math.abs(restoreBank(kept, terms, { atMs: 0, cpuSeconds: 0.5 }, { boot: 'two', upSeconds: 5000 }).balance - 7) < 1e-9);
});
