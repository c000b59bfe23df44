/**
 * Ends a file that does not end, so that it is reported as failed. `--test-timeout` (tools/test) ends tests, but leaves a process alone that
 * something keeps alive after them, or before the first. Loaded before any test.
 */
import { afterEach, beforeEach } from 'node:test';
import { isMainThread } from 'node:worker_threads';

/** Longer than any hook may take. */
const idleMinutes = 45;

// Not in the process that only runs the files.
if (isMainThread && process.env['NODE_TEST_CONTEXT'] !== undefined) {
  let running = 0;
  const giveUp = (): void => {
    if (running > 0) return;
    process.stderr.write(`no test for ${idleMinutes} minutes, and yet it does not end: ${process.getActiveResourcesInfo().join(' ')}\n`);
    process.exit(1);
  };
  const timer = setTimeout(giveUp, idleMinutes * 60_000).unref();
  beforeEach(() => void (running += 1));
  afterEach(() => {
    running -= 1;
    timer.refresh();
  });
}
