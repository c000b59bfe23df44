import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isAnswer, parseQuery, refusalOf, responseCodes, withId } from './query.ts';
import type { Query } from './query.ts';
import { MessageFramer, frame } from './stream.ts';

const question = (name: string, id = 7, head = 0x0100): Buffer => {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(head, 2);
  header.writeUInt16BE(1, 4);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
};
const queryOf = (message: Buffer): Query => {
  const query = parseQuery(message);
  assert.ok(query !== undefined && 'id' in query);
  return query;
};

test('a query is understood, with what follows its question left alone', () => {
  const message = question('www.example.test');
  assert.deepEqual(queryOf(Buffer.concat([message, Buffer.from('extra')])).questionEnd, message.length);
});

test('answers and short packets are not queries; others are refused with a reason', () => {
  assert.equal(parseQuery(Buffer.alloc(11)), undefined);
  assert.equal(parseQuery(question('a.test', 1, 0x8180)), undefined);
  assert.deepEqual(parseQuery(question('a.test', 1, 0x2800)), { refusal: responseCodes.notImplemented });
  assert.deepEqual(parseQuery(question('a.test').subarray(0, 14)), { refusal: responseCodes.formatError });
  const compressed = question('a.test');
  compressed[12] = 0xc0;
  assert.deepEqual(parseQuery(compressed), { refusal: responseCodes.formatError });
  assert.deepEqual(parseQuery(question(Array.from({ length: 6 }, () => 'x'.repeat(63)).join('.'))), { refusal: responseCodes.formatError });
});

test('only an answer to this question under this id is one', () => {
  const query = queryOf(question('www.example.test'));
  const answer = question('WWW.example.TEST', 99, 0x8180);
  assert.ok(isAnswer(answer, 99, query));
  assert.ok(!isAnswer(answer, 98, query), 'another id');
  assert.ok(!isAnswer(question('www.example.test', 99), 99, query), 'a question');
  assert.ok(!isAnswer(question('www.example.tes1', 99, 0x8180), 99, query), 'another question');
  assert.ok(!isAnswer(answer.subarray(0, 20), 99, query), 'cut short');
});

test('no packet whatsoever makes the parsers throw, and a refusal is never longer than the question', () => {
  const query = queryOf(question('www.example.test'));
  const packets = fc.oneof(
    fc.uint8Array({ maxLength: 600 }),
    fc.tuple(fc.nat(33), fc.nat(255)).map(([at, byte]) => question('www.example.test', 1).fill(byte, at, at + 1)),
  );
  fc.assert(
    fc.property(packets, (bytes) => {
      const message = Buffer.from(bytes);
      const parsed = parseQuery(message);
      isAnswer(message, 1, query);
      if (parsed === undefined) return;
      const refusal = refusalOf(message, responseCodes.serverFailure, true);
      assert.ok(refusal.length <= Math.max(12, message.length));
      assert.equal(refusal.readUInt16BE(0), message.readUInt16BE(0));
      assert.equal(refusal.readUInt16BE(2) & 0x800f, 0x8002);
    }),
    { numRuns: 2000 },
  );
});

test('an id is replaced in a copy', () => {
  const message = question('a.test', 5);
  assert.equal(withId(message, 6).readUInt16BE(0), 6);
  assert.equal(message.readUInt16BE(0), 5);
});

test('a stream is cut into the messages it was made of, however it arrives', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), fc.integer({ min: 1, max: 40 }), (messages, size) => {
      const stream = Buffer.concat(messages.map((message) => frame(Buffer.from(message))));
      const framer = new MessageFramer();
      const found: Buffer[] = [];
      for (let at = 0; at < stream.length; at += size) found.push(...framer.push(stream.subarray(at, at + size)));
      assert.deepEqual(
        found,
        messages.map((message) => Buffer.from(message)),
      );
    }),
  );
});
