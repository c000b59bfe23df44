import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { questionFor, readMessage } from '../../test/support/dns-reader.ts';
import type { AskedFor, ReadMessage } from '../../test/support/dns-reader.ts';
import { answerFrom, datagramLimit } from './answer.ts';
import { parseQuery } from './query.ts';
import type { Query } from './query.ts';
import { dataText, typeCodes } from './record.ts';
import type { Record, RecordData } from './record.ts';
import { transferOf } from './transfer.ts';
import { longestMessage, MessageWriter } from './writer.ts';
import { Zone } from './zone.ts';

const writer = new MessageWriter();
const zoneName = 'dc.example.test';

const zoneOf = (...records: Record[]): Zone => {
  const zone = new Zone({ name: zoneName, servers: [`ns1.${zoneName}`], serial: 5 });
  zone.replace('test', records);
  return zone;
};
const queryOf = (name: string, asked: AskedFor = {}): Query => {
  const query = parseQuery(questionFor(name, asked));
  assert.ok(query !== undefined && 'id' in query);
  return query;
};
const ask = (zone: Zone, name: string, asked: AskedFor = {}, limit?: number): ReadMessage => {
  const query = queryOf(name, asked);
  return readMessage(answerFrom(writer, zone, query, limit ?? datagramLimit(query)));
};
const a = (name: string, address: string): Record => ({ name: `${name}.${zoneName}`, ttl: 30, data: { type: 'A', address } });
const data = (message: ReadMessage): string[] => message.answer.map((record) => dataText(record.data));

describe('answers', () => {
  const zone = zoneOf(a('web.inst.alice', '10.0.0.1'), a('web.inst.alice', '10.0.0.2'));
  const name = `web.inst.alice.${zoneName}`;

  it('are the records of the name, under the question as it was asked', () => {
    const mixed = name.replace('web', 'WeB');
    const answer = ask(zone, mixed, { id: 77 });
    assert.deepEqual([answer.id, answer.code, answer.authoritative, answer.questions[0]!.name], [77, 0, true, mixed]);
    assert.deepEqual(data(answer).toSorted(), ['10.0.0.1', '10.0.0.2']);
  });

  it('begin with another record now and then', () => {
    const first = new Set(Array.from({ length: 60 }, () => data(ask(zone, name))[0]));
    assert.equal(first.size, 2);
  });

  it('say with the SOA that there is no such name, or no such record; a name with others below it is one', () => {
    for (const [asked, type, code] of [
      [`db.inst.alice.${zoneName}`, 1, 3],
      [name, typeCodes.AAAA, 0],
      [name, 65, 0],
      [`inst.alice.${zoneName}`, 1, 0],
    ] as const) {
      const answer = ask(zone, asked, { type });
      assert.deepEqual([answer.code, answer.answer.length], [code, 0], asked);
      assert.match(dataText(answer.authority[0]!.data), /^ns1\.dc\.example\.test\. hostmaster\.dc\.example\.test\. 5 /);
    }
  });

  it('have the addresses of what an SRV record leads to, and one set for whoever asks for all', () => {
    const target = name;
    const srv = zoneOf(a('web.inst.alice', '10.0.0.1'), {
      name: `db.svc.alice.${zoneName}`,
      ttl: 10,
      data: { type: 'SRV', priority: 1, weight: 2, port: 5432, target },
    });
    const answer = ask(srv, `db.svc.alice.${zoneName}`, { type: typeCodes.SRV });
    assert.deepEqual([data(answer), answer.additional.map((record) => dataText(record.data))], [[`1 2 5432 ${target}.`], ['10.0.0.1']]);
    assert.equal(ask(zone, name, { type: 255 }).answer.length, 2);
    assert.equal(ask(zone, zoneName, { type: 255 }).answer.length, 1);
  });

  it('are cut short in a datagram that has no room, whole over TCP, and with EDNS as long as both sides take', () => {
    const many = zoneOf(...Array.from({ length: 70 }, (_, index) => a('web.svc.alice', `10.0.1.${index}`)));
    const asked = `web.svc.alice.${zoneName}`;
    const plain = ask(many, asked);
    assert.deepEqual([plain.truncated, plain.answer.length, plain.edns], [true, 0, null]);
    const extended = ask(many, asked, { edns: 4096 });
    assert.deepEqual([extended.truncated, extended.answer.length, extended.edns?.size], [false, 70, 1232]);
    assert.equal(ask(many, asked, { edns: 600 }).truncated, true);
    assert.equal(ask(many, asked, {}, longestMessage).answer.length, 70);
  });

  it('over TCP have as many of thousands as a message holds', () => {
    const many = zoneOf(...Array.from({ length: 5000 }, (_, index) => a('web.svc.alice', `10.${index >> 8}.1.${index & 255}`)));
    const answer = ask(many, `web.svc.alice.${zoneName}`, {}, longestMessage);
    assert.ok(!answer.truncated && answer.answer.length > 3900);
  });
});

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => `${labels.join('.')}.${zoneName}`);
const word = fc.nat(65_535);
const dataOf = fc.oneof(
  fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }).map((bytes): RecordData => ({ type: 'A', address: bytes.join('.') })),
  fc
    .array(fc.integer({ min: 1, max: 65_535 }), { minLength: 8, maxLength: 8 })
    .map((words): RecordData => ({ type: 'AAAA', address: words.map((one) => one.toString(16)).join(':') })),
  fc.record({ priority: word, weight: word, port: word, target: name }).map((srv): RecordData => ({ type: 'SRV', ...srv })),
  fc.string({ maxLength: 200 }).map((text): RecordData => ({ type: 'TXT', text })),
  name.map((target): RecordData => ({ type: 'PTR', target })),
);
const records = fc.array(fc.record({ name, ttl: fc.constant(30), data: dataOf }), { maxLength: 60 });
const shown = (all: readonly Record[]): string[] => all.map((record) => `${record.name} ${record.data.type} ${dataText(record.data)}`).toSorted();

describe('messages', () => {
  it('read back as what was written: a whole zone, in as many messages as it takes', () => {
    fc.assert(
      fc.property(records, (all) => {
        const zone = zoneOf(...all);
        const read = transferOf(writer, zone, queryOf(zoneName, { type: 252 })).map(readMessage);
        const answers = read.flatMap(({ answer }) => answer);
        assert.deepEqual([answers[0], answers.at(-1)], [zone.soa, zone.soa]);
        const expected = [...new Set(shown(all))];
        assert.deepEqual(shown(answers.slice(1, -1).filter(({ data: { type } }) => type !== 'NS')), expected);
      }),
    );
  });

  it('of a large zone are each no longer than names can be pointed to', () => {
    const zone = zoneOf(...Array.from({ length: 4000 }, (_, index) => a(`m${index}.inst.alice`, `10.${index >> 8}.2.${index & 255}`)));
    const messages = transferOf(writer, zone, queryOf(zoneName, { type: 252 }));
    assert.ok(messages.length > 4 && messages.every(({ length }) => length <= 16_384));
    assert.equal(messages.flatMap((message) => readMessage(message).answer).length, 4003);
  });
});

describe('a zone', () => {
  it('is what those who speak now say, whatever they said before, and in whatever order', () => {
    const turn = fc.record({ who: fc.constantFrom('a', 'b', 'c'), records });
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 12 }), (turns) => {
        const zone = zoneOf();
        const said = new Map<string, readonly Record[]>();
        for (const { who, records: all } of turns) {
          const before = shown([...zone.records()]).join('\n');
          const changed = zone.replace(who, all);
          said.set(who, all);
          assert.equal(changed, shown([...zone.records()]).join('\n') !== before);
        }
        const expected = zoneOf(...[...said.values()].flat());
        assert.deepEqual(shown([...zone.records()]), shown([...expected.records()]));
        assert.equal(zone.names, expected.names, 'no empty name stays');
      }),
    );
  });
});
