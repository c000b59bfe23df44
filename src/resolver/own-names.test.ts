import assert from 'node:assert/strict';
import { test } from 'node:test';
import { questionFor, readMessage } from '../../test/support/dns-reader.ts';
import type { AskedFor } from '../../test/support/dns-reader.ts';
import { datagramLimit } from '../dns/answer.ts';
import { namedMachine } from '../dns/machine-names.ts';
import { parseQuery } from '../dns/query.ts';
import { dataText } from '../dns/record.ts';
import type { ToldMachine } from '../dns/told.ts';
import { OwnNames } from './own-names.ts';

const zone = 'dc.example.test';
const accounts = ['alice', 'bob'].map((id, index) => ({ id, uuid: `${index}1111111-1111-4111-8111-111111111111`, label: id }));
const ids = { web: '00000000-0000-4000-8000-000000000001', db: '00000000-0000-4000-8000-000000000002' };
const machine = (name: keyof typeof ids, account: string, address: string, running = true): ToldMachine => ({
  id: ids[name],
  account,
  address,
  named: namedMachine({ id: ids[name], account, name, address, tags: { 'triton.cns.services': 'site:80' } }, running),
});
const web = machine('web', 'alice', '10.80.0.2');
const db = machine('db', 'bob', '10.80.0.3');

const make = (shared = false): OwnNames => new OwnNames({ zone, shared, isOurs: (address) => address.startsWith('10.80.') });
/** What `from` is told: the records, or the response code; undefined when others are asked. */
const ask = (names: OwnNames, from: string, name: string, asked: AskedFor = {}): string | undefined => {
  const query = parseQuery(questionFor(name, asked));
  assert.ok(query !== undefined && 'id' in query);
  const answer = names.answer(query, from, datagramLimit(query));
  if (answer === undefined) return undefined;
  const { code, answer: records } = readMessage(answer);
  return code === 0 ? records.map(({ data }) => dataText(data)).join(' ') : String(code);
};

test("a machine is told its own account's names, and that there are no others", () => {
  const names = make();
  names.take({ kind: 'all', accounts, machines: [web, db] });
  assert.equal(ask(names, web.address, `web.inst.alice.${zone}`), '10.80.0.2');
  assert.equal(ask(names, web.address, `site.svc.alice.${zone}`, { type: 33 }), `0 10 80 web.inst.alice.${zone}.`);
  assert.equal(ask(names, web.address, '2.0.80.10.in-addr.arpa', { type: 12 }), `web.inst.alice.${zone}.`);
  for (const [from, name] of [
    [db.address, `web.inst.alice.${zone}`],
    [db.address, `site.svc.alice.${zone}`],
    ['10.80.0.9', `web.inst.alice.${zone}`],
    [web.address, `none.inst.alice.${zone}`],
    [db.address, '2.0.80.10.in-addr.arpa'],
  ] as const)
    assert.equal(ask(names, from, name), '3', `${from} ${name}`);
  for (const name of ['www.example.org', 'web', '9.9.9.9.in-addr.arpa', '80.10.in-addr.arpa', `x${zone}`])
    assert.equal(ask(names, web.address, name), undefined, name);
  assert.equal(ask(names, web.address, `web.inst.alice.${zone}`, { class: 3 }), undefined);
});

test('where the datacenter serves names to everybody, machines are told them too', () => {
  const names = make(true);
  names.take({ kind: 'all', accounts, machines: [web, { ...db, named: { ...db.named!, addresses: [{ address: '10.80.0.3', network: 'back' }] } }] });
  assert.equal(ask(names, db.address, `web.inst.alice.${zone}`), '10.80.0.2');
  assert.equal(ask(names, db.address, '2.0.80.10.in-addr.arpa', { type: 12 }), `web.inst.alice.${zone}.`);
  assert.equal(ask(names, db.address, `db.inst.bob.${zone}`), '10.80.0.3');
  assert.equal(ask(names, web.address, `db.inst.bob.${zone}`), '3', "what is on a network of bob's own is bob's to know");
});

test('what is told later counts from then on, and what is not told any more is gone', () => {
  const names = make();
  assert.equal(ask(names, web.address, `web.inst.alice.${zone}`), '2', 'nothing is known yet');
  assert.equal(ask(names, web.address, 'www.example.org'), undefined);
  names.take({ kind: 'all', accounts, machines: [web, db] });
  names.take({ kind: 'machine', machine: machine('web', 'alice', '10.80.0.2', false) });
  assert.equal(ask(names, web.address, `site.svc.alice.${zone}`), '3');
  assert.equal(ask(names, web.address, `web.inst.alice.${zone}`), '10.80.0.2');
  names.take({ kind: 'machine', machine: machine('web', 'alice', '10.80.0.5') });
  assert.equal(ask(names, '10.80.0.5', `web.inst.alice.${zone}`), '10.80.0.5');
  assert.equal(ask(names, '10.80.0.2', `web.inst.alice.${zone}`), '3', 'whoever has the address now is not that machine');
  names.take({ kind: 'accounts', accounts: accounts.filter(({ id }) => id !== 'alice') });
  assert.equal(ask(names, '10.80.0.5', `web.inst.alice.${zone}`), '3');
  names.take({ kind: 'accounts', accounts });
  assert.equal(ask(names, '10.80.0.5', `web.inst.alice.${zone}`), '10.80.0.5');
  names.take({ kind: 'gone', id: ids.web });
  assert.equal(ask(names, '10.80.0.5', `web.inst.alice.${zone}`), '3');
  names.take({ kind: 'machine', machine: machine('web', 'bob', '10.80.0.2') });
  assert.equal(ask(names, db.address, `web.inst.bob.${zone}`), '10.80.0.2');
  names.take({ kind: 'all', accounts, machines: [db] });
  assert.equal(ask(names, db.address, `web.inst.bob.${zone}`), '3');
});
