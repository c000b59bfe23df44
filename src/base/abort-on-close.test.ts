/** Who has gone is noticed, however late somebody looks. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { abortOnClose } from './abort-on-close.ts';

const withResponse = async (use: (response: ServerResponse, leave: () => void) => Promise<void>): Promise<void> => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const person = connect((server.address() as AddressInfo).port, '127.0.0.1');
  person.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  await use(response, () => person.destroy());
  person.destroy();
  server.close();
};

test('the signal aborts for who goes, and for who has gone before', () =>
  withResponse(async (response, leave) => {
    const early = abortOnClose(response);
    assert.equal(early.aborted, false);
    const closed = once(response, 'close');
    leave();
    await closed;
    assert.equal(early.aborted, true);
    assert.equal(abortOnClose(response).aborted, true, 'looked for afterwards');
  }));

test('who has its answer has not gone', () =>
  withResponse(async (response) => {
    const early = abortOnClose(response);
    const closed = once(response, 'close');
    response.end('x');
    await closed;
    assert.equal(early.aborted, false);
    assert.equal(abortOnClose(response).aborted, false);
  }));
