/**
 * The seed of all that is random in tests. `npm test` repeats itself: the seed is fixed, so that what passed there fails for a reason, and what
 * failed fails again. Other seeds are for `npm run soak`. Loaded before any test (tools/test), it also seeds fast-check's properties.
 */
import fc from 'fast-check';

export const seed = Number(process.env['CENOTE_TEST_SEED'] ?? 20_261_123);
/** Of each property that asks for no number of its own, and of each route that is fuzzed; fast-check's own number by default. */
export const fuzzRuns = process.env['CENOTE_FUZZ_RUNS'] === undefined ? null : Number(process.env['CENOTE_FUZZ_RUNS']);

fc.configureGlobal({ seed, ...(fuzzRuns === null ? {} : { numRuns: fuzzRuns }) });
