import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { Held, longestLine } from './bounds.ts';
import { converse } from './conversation.ts';
import { formatAnswer, parseLine } from './frame.ts';
import type { Answer, Question } from './frame.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const framed = (body: string): string => `V2 ${Buffer.byteLength(body)} ${crc32(body).toString(16).padStart(8, '0')} ${body}`;

const values = new Map<string, string>([['k', 'line one\n.dot\n']]);

const answer = async (question: Question): Promise<Answer> => {
  if (question.kind === 'get') return values.has(question.key) ? { kind: 'success', data: values.get(question.key)! } : { kind: 'not found' };
  if (question.kind === 'keys') return { kind: 'success', data: [...values.keys()].join('\n') };
  if (question.kind === 'put') return question.key === 'ro' ? { kind: 'failure', why: 'read-only' } : { kind: 'success' };
  return { kind: 'failure', why: 'no' };
};

/** What is said in return to pieces of bytes. */
const talk = async (pieces: readonly (string | Uint8Array)[], held = new Held()): Promise<string> => {
  let said = '';
  const coming = [...pieces];
  const stream = new Duplex({
    read() {
      const next = coming.shift();
      this.push(next === undefined ? null : Buffer.from(next));
    },
    write(chunk: Buffer, _encoding, done) {
      said += chunk.toString();
      done();
    },
  });
  await converse(stream, { answer, delayMs: () => 0, held });
  return said;
};

test('version 1: what is not known, data with dots, the way to version 2', async () => {
  assert.equal(await talk(['\n']), 'invalid command\n');
  assert.equal(await talk(['GET k\nGET none\nNEGOTIATE V2\nHELLO\n']), 'SUCCESS\nline one\n..dot\n\n.\nNOTFOUND\nV2_OK\ninvalid command\n');
});

test('version 2: every word', async () => {
  const ask = async (body: string): Promise<string> => {
    const said = (await talk([`${framed(body)}\n`])).trimEnd();
    const [, length, sum, rest] = /^V2 (\d+) ([0-9a-f]{8}) (.*)$/.exec(said)!;
    assert.deepEqual([Number(length), Number.parseInt(sum!, 16)], [rest!.length, crc32(rest!)]);
    return rest!;
  };
  assert.equal(await ask(`0a1b2c3d GET ${base64('k')}`), `0a1b2c3d SUCCESS ${base64('line one\n.dot\n')}`);
  assert.equal(await ask(`1 GET ${base64('none')}`), '1 NOTFOUND');
  assert.equal(await ask('2 KEYS'), `2 SUCCESS ${base64('k')}`);
  assert.equal(await ask(`3 PUT ${base64(`${base64('a')} ${base64('ü\n')}`)}`), '3 SUCCESS');
  assert.equal(await ask(`4 PUT ${base64(`${base64('ro')} ${base64('x')}`)}`), `4 FAILURE ${base64('read-only')}`);
  assert.equal(await ask('5 DANCE'), `5 FAILURE ${base64('no')}`);
});

test('a frame that was damaged on its way is no command', async () => {
  const good = framed(`1 GET ${base64('k')}`);
  for (const bad of [good.replace('GET', 'GEU'), good.slice(0, -1), `${good}=`, good.replace('V2 ', 'V2  '), good.toLowerCase(), framed('1 GET *'), framed('')])
    assert.equal(await talk([`${bad}\n`]), 'invalid command\n', bad);
});

test('lines are the same however they are cut', async () => {
  const whole = `\nGET k\n${framed(`1 GET ${base64('k')}`)}\r\n${framed('2 KEYS')}\n`;
  const expected = await talk([whole]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(whole.length)), async (cuts) => {
      const at = [0, ...cuts.toSorted((one, other) => one - other), whole.length];
      assert.equal(await talk(at.slice(1).map((end, index) => whole.slice(at[index], end))), expected);
    }),
  );
});

test('anything may come: the answer is of the protocol, and nothing is kept', async () => {
  const held = new Held();
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 2000 }),
          fc.string().map((text) => Buffer.from(`${framed(text)}\n`)),
        ),
      ),
      async (pieces) => {
        for (const line of (await talk(pieces, held)).split('\n').slice(0, -1))
          assert.match(line, /^(invalid command|V2 \d+ [0-9a-f]{8} .*|V2_OK|NOTFOUND|SUCCESS|FAILURE.*|.*)$/);
      },
    ),
  );
  const all = new Held();
  assert.ok(all.take(32 * 1024 * 1024), 'what a connection held is given back');
  assert.ok(held.take(32 * 1024 * 1024));
});

test('a line without end ends the conversation, and so does what all machines hold together', async () => {
  const piece = Buffer.alloc(64 * 1024, 'a');
  assert.equal(await talk([...Array.from({ length: longestLine / piece.length + 1 }, () => piece), '\n']), '');
  const held = new Held();
  held.take(32 * 1024 * 1024 - 10);
  assert.equal(await talk(['GET k\n', 'a'.repeat(11), '\n'], held), 'SUCCESS\nline one\n..dot\n\n.\n');
});

test('frames are read as they are written', () =>
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), fc.stringMatching(/^[0-9a-f]{1,16}$/), (data, id) => {
      const said = formatAnswer({ kind: 'success', data }, id).trimEnd();
      assert.equal(said, framed(data === '' ? `${id} SUCCESS` : `${id} SUCCESS ${base64(data)}`));
      assert.deepEqual(parseLine(framed(`${id} GET ${base64(data)}`)), { question: { kind: 'get', key: Buffer.from(data).toString() }, requestId: id });
    }),
  ));
