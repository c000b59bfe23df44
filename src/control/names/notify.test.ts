/** Secondaries that cannot be reached: they are told of no version, and nothing else comes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../../base/logger.ts';
import { Zone } from '../../dns/zone.ts';
import { Notifier } from './notify.ts';

test('a secondary to which there is no way is not told', { timeout: 10_000 }, async () => {
  const stop = new AbortController();
  const { promise: said, resolve } = Promise.withResolvers<string>();
  const logger = createLogger({ name: 'test', level: 'debug', destination: { write: resolve } });
  // From an address of the loopback nobody elsewhere can be connected to; without any route neither.
  const secondary = { address: '192.0.2.1', port: 53 };
  const notifier = new Notifier({ secondaries: [secondary], from: '127.0.0.1', logger, signal: stop.signal });
  notifier.tell([new Zone({ name: 'dc.example.test', servers: ['ns1.dc.example.test'], serial: 1 })]);
  const line = JSON.parse(await said) as { error: string; msg: string };
  stop.abort();
  assert.equal(line.msg, 'a secondary was not told');
  assert.match(line.error, /EINVAL|ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL/);
  assert.equal(notifier.heard(secondary, 'dc.example.test'), undefined);
});
