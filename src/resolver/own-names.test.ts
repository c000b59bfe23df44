import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { questionFor, readMessage } from '../../test/support/dns-reader.ts';
import type { AskedFor } from '../../test/support/dns-reader.ts';
import { datagramLimit } from '../dns/answer.ts';
import { namedMachine } from '../dns/machine-names.ts';
import { parseQuery } from '../dns/query.ts';
import { dataText } from '../dns/record.ts';
import type { ToldMachine } from '../dns/told.ts';
import { externalNetwork } from '../model/nics.ts';
import type { Nic } from '../model/network.ts';
import { publicId } from '../model/public-id.ts';
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

describe('addresses that an asker reaches', () => {
  const [back, front, dmz, world] = ['back', 'front', 'dmz', 'world'].map((name) => publicId('network', name)) as [string, string, string, string];
  const shared = new Set([dmz, world]);
  const place = (network: string, address: string, index: number): Nic => ({ network, address, index, primary: index === 0 });
  const on = (name: string, ...places: [network: string, address: string][]): ToldMachine => {
    const id = publicId('host', name);
    const nics = places.map(([network, address], index) => place(network, address, index));
    const asking = places.filter(([network]) => network === externalNetwork || shared.has(network));
    const facts = { id, account: 'alice', name, address: nics[0]!.address, nics, tags: { 'triton.cns.services': 'site:80' } };
    return {
      id,
      account: 'alice',
      address: nics[0]!.address,
      asks: asking.map(([, address]) => address),
      asksBy: asking.map(([network]) => network),
      on: places.map(([network]) => network),
      named: namedMachine(facts, true, shared, new Set([world])),
    };
  };
  const router = (network: string, address: string): ToldMachine => ({ id: network, account: 'alice', address, asksBy: [network], on: [network], named: null });
  const both = on('both', [externalNetwork, '10.80.0.2'], [back, '192.168.10.2']);
  const hello = on('hello', [externalNetwork, '10.80.0.3']);
  const store = on('store', [back, '192.168.10.4']);
  const hidden = on('hidden', [dmz, '10.99.0.5'], [front, '192.168.20.5']);
  const seen = on('seen', [world, '203.0.113.6'], [front, '192.168.20.6']);
  const byBack = router(back, '10.80.1.1');
  const byFront = router(front, '10.80.1.2');
  const askers = { hello, both, byBack, byFront, hidden: { address: '10.99.0.5' } };
  const names = make();
  names.take({ kind: 'all', accounts, machines: [both, hello, store, hidden, seen, byBack, byFront] });
  const told = (from: keyof typeof askers, name: string, asked?: AskedFor): string[] => ask(names, askers[from].address, name, asked)!.split(' ').toSorted();

  test('are those on the network by which it asks, else those that everybody reaches, or on a network that it is known to be on', () => {
    const expected: Record<string, Record<keyof typeof askers, string>> = {
      both: { hello: '10.80.0.2', both: '10.80.0.2', byBack: '192.168.10.2', byFront: '10.80.0.2', hidden: '10.80.0.2' },
      hello: { hello: '10.80.0.3', both: '10.80.0.3', byBack: '10.80.0.3', byFront: '10.80.0.3', hidden: '10.80.0.3' },
      store: { hello: '', both: '192.168.10.4', byBack: '192.168.10.4', byFront: '', hidden: '' },
      hidden: { hello: '', both: '', byBack: '', byFront: '192.168.20.5', hidden: '10.99.0.5' },
      seen: { hello: '203.0.113.6', both: '203.0.113.6', byBack: '203.0.113.6', byFront: '192.168.20.6', hidden: '192.168.20.6 203.0.113.6' },
    };
    for (const [name, row] of Object.entries(expected))
      for (const [from, addresses] of Object.entries(row))
        assert.equal(told(from as keyof typeof askers, `${name}.inst.alice.${zone}`).join(' '), addresses, `${name} for ${from}`);
    assert.equal(ask(names, hello.address, `none.inst.alice.${zone}`), '3');
    assert.equal(ask(names, hello.address, `store.inst.alice.${zone}`, { type: 255 }), JSON.stringify(store.id), 'the name is there');
    assert.equal(ask(names, hello.address, `${back}.store.inst.alice.${zone}`), '192.168.10.4', 'whoever names the network knows why');
  });

  test('are those of each member of a service that it reaches', () => {
    assert.deepEqual(told('hello', `site.svc.alice.${zone}`), ['10.80.0.2', '10.80.0.3', '203.0.113.6']);
    assert.deepEqual(told('byBack', `site.svc.alice.${zone}`), ['10.80.0.3', '192.168.10.2', '192.168.10.4', '203.0.113.6']);
    const members = (from: keyof typeof askers): string[] => told(from, `site.svc.alice.${zone}`, { type: 33 }).filter((word) => word.includes('.'));
    assert.deepEqual(
      members('hello'),
      ['both', 'hello', 'seen'].map((name) => `${name}.inst.alice.${zone}.`),
    );
    assert.deepEqual(
      members('byFront'),
      ['both', 'hello', 'hidden', 'seen'].map((name) => `${name}.inst.alice.${zone}.`),
    );
  });

  test('have their names for who reaches them; for others they are a stranger’s', () => {
    const reverse = '4.10.168.192.in-addr.arpa';
    assert.equal(ask(names, byBack.address, reverse, { type: 12 }), `store.inst.alice.${zone}.`);
    assert.equal(ask(names, both.address, reverse, { type: 12 }), `store.inst.alice.${zone}.`);
    assert.equal(ask(names, hello.address, reverse, { type: 12 }), undefined);
    assert.equal(ask(names, byBack.address, '2.0.80.10.in-addr.arpa', { type: 12 }), `both.inst.alice.${zone}.`);
  });

  test('change with the NICs of whoever asks or is asked for', () => {
    names.take({ kind: 'machine', machine: on('hello', [externalNetwork, '10.80.0.3'], [back, '192.168.10.3']) });
    assert.equal(ask(names, hello.address, `store.inst.alice.${zone}`), '192.168.10.4');
    names.take({ kind: 'machine', machine: on('store', [back, '192.168.10.4'], [externalNetwork, '10.80.0.4']) });
    assert.equal(ask(names, hello.address, `store.inst.alice.${zone}`), '10.80.0.4');
    names.take({ kind: 'machine', machine: store });
    names.take({ kind: 'machine', machine: hello });
    assert.equal(ask(names, hello.address, `store.inst.alice.${zone}`), '');
  });
});
