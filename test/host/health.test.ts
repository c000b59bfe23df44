/** A machine that is not well says why: what its health check did, on the real kernel. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Machine } from '../../src/model/control-api.ts';
import type { Event } from '../../src/model/event.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { until } from './network-world.ts';

describe('health checks', { skip: skipInstance, timeout: 300_000 }, () => {
  let instance: TestInstance;
  /** A machine whose image asks so, once it is unhealthy: what `why` says. */
  const whyUnhealthy = async (name: string, healthcheck: object): Promise<string> => {
    const config = { Cmd: ['sleep', '100000'], Healthcheck: { Interval: 100_000_000, Retries: 2, ...healthcheck } };
    writeFileSync(join(instance.directory, 'config.json'), JSON.stringify(config));
    await instance.must('image', 'create', name, '--from', 'code', '--config', 'config.json');
    await instance.must('create', name, '--image', name, '--memory', '32M', '--disk', '64M', '--cpu', '0.01', '--stop-grace', '0s');
    await until(async () => (await instance.json<Machine>('get', name)).health === 'unhealthy');
    assert.match(
      await instance.must('get', name),
      new RegExp(`^Health: +unhealthy: its check failed: ${(await instance.json<Machine>('get', name)).healthCheck?.reason}`, 'm'),
    );
    // The events come by themselves, a moment behind.
    const why = { text: '' };
    await until(async () => (why.text = await instance.must('why', name)).includes('since'));
    return why.text;
  };
  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024 });
    mkdirSync(join(instance.directory, 'code'));
    writeFileSync(join(instance.directory, 'code', 'here'), '');
  });
  after(() => instance[Symbol.asyncDispose]());

  test('its exit code and how what it wrote begins, in one line and with nothing that a terminal obeys', async () => {
    // All in one stream: what comes in two is heard in either order.
    const script = String.raw`exec >&2; printf 'no \033[31mdatabase\033[0m\nat all '; head -c 300000 /dev/zero | tr '\0' x; exit 3`;
    const why = await whyUnhealthy('fails', { Test: ['CMD-SHELL', script] });
    assert.match(why, /^- failed: it is unhealthy since \d+s ago: its health check failed: exited with code 3, and wrote: [ -~]{1,200}$/m);
    assert.match(why, /no database at all/);
    const events = (await instance.must('events', '--json')).trim().split('\n');
    const told = events.map((line) => JSON.parse(line) as Event).find(({ type }) => type === 'machine.health');
    assert.equal(told?.message, 'fails is unhealthy: its health check failed: exited with code 3');
    const { stderr } = await instance.cenote('wait', 'fails', '--healthy', '--timeout', '1s');
    assert.match(stderr, /unhealthy\nsee why: cenote why fails$/m);
  });

  test('an update that is undone for it says so', async () => {
    const config = { Cmd: ['sleep', '100000'], Healthcheck: { Test: ['CMD-SHELL', 'test "$WELL" = 1 || exit 4'], Interval: 100_000_000, Retries: 2 } };
    writeFileSync(join(instance.directory, 'config.json'), JSON.stringify(config));
    await instance.must('image', 'create', 'asks', '--from', 'code', '--config', 'config.json');
    await instance.must('create', 'asks', '--image', 'asks', '--memory', '32M', '--disk', '64M', '--cpu', '0.01', '--stop-grace', '0s', '--env', 'WELL=1');
    await instance.must('wait', 'asks', '--healthy');
    assert.equal((await instance.json<Machine>('get', 'asks')).healthCheck, undefined);
    assert.match(await instance.refused('update', 'asks', '--env', 'WELL=0'), /its health check failed: exited with code 4/);
  });

  test('that it could not be run, or took too long', async () => {
    assert.match(
      await whyUnhealthy('missing', { Test: ['CMD', 'no-such'] }),
      /its health check failed: there is no program no-such in the machine, and wrote nothing$/m,
    );
    const slow = { Test: ['CMD-SHELL', 'echo begins; sleep 1000'], Timeout: 5_000_000_000 };
    assert.match(await whyUnhealthy('slow', slow), /its health check failed: took longer than 5 s, and wrote: begins$/m);
  });
});
