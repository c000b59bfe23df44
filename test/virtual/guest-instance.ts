/** `cenote up` in a virtual host, and tests on what it made. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { checkout } from './image.ts';
import type { VirtualHost } from './virtual-host.ts';

export const guestNode = join(checkout, 'node_modules/.bin/node');
const upTimeoutMs = 400_000;
const testsTimeoutMs = 40 * 60_000;
const attempts = 3;
/** What `up` says when the services did not answer in time: an emulated host on a busy one may need longer, and repeating is safe. */
const notInTime = /does not answer after/;

export interface UpAnswer {
  instance: string;
  hello: { name: string; url: string; runningMs: number | null; answerMs: number | null } | null;
}

export const bringUp = async (host: VirtualHost, flags: readonly string[] = []): Promise<UpAnswer & { seconds: number }> => {
  const begun = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    const { code, stdout, stderr } = await host.run(`${checkout}/cenote up --json ${flags.join(' ')}`, { timeoutMs: upTimeoutMs });
    if (code === 0) return { ...(JSON.parse(stdout) as UpAnswer), seconds: (performance.now() - begun) / 1000 };
    if (!notInTime.test(stderr) || attempt === attempts) throw new Error(`cenote up ended with code ${code}: ${stderr}${stdout}`);
  }
};

/** Waits until it does: after a boot its services have yet to start. */
export const helloAnswers = async (host: VirtualHost): Promise<void> => {
  const ask = 'until timeout 10 busybox wget -q -O - http://127.0.0.1:8080/healthz 2>/dev/null; do sleep 1; done';
  await host.succeed(ask, { timeoutMs: upTimeoutMs });
};

/** What of this run's environment says which tests, and which of them: for those inside the same. */
const handedOn = ['CENOTE_TEST_SEED', 'CENOTE_TEST_TRIALS'];

/** A file of tests, by the host itself. */
export const runInside = async (host: VirtualHost, file: string, onLine: (line: string) => void): Promise<void> => {
  const variables = handedOn.flatMap((name) => (process.env[name] === undefined ? [] : [`${name}=${Number(process.env[name])}`]));
  const command = `cd ${checkout} && ${variables.join(' ')} ${guestNode} --test --test-reporter=spec ${file}`;
  const { code, stdout, stderr } = await host.run(command, { timeoutMs: testsTimeoutMs, onLine });
  assert.equal(code, 0, stdout.slice(stdout.indexOf('failing tests')) + stderr.slice(-2000));
};
