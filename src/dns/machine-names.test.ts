import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { machineRecords, namedAccounts, namedMachine, namesOfMachine } from './machine-names.ts';
import type { MachineFacts, NamedAccount, NamedMachine } from './machine-names.ts';
import { isName, labelOf } from './name.ts';
import { reaches } from './reach.ts';
import { dataText } from './record.ts';
import { addressOfReverse, reverseName, reverseZones } from './reverse.ts';
import { parseServices, printServices } from './services-tag.ts';

const zone = 'dc.example.test';
const account: NamedAccount = { id: 'a', uuid: '11111111-1111-4111-8111-111111111111', label: 'alice' };
const facts: MachineFacts = { id: '22222222-2222-4222-8222-222222222222', account: 'a', name: 'web', address: '10.80.0.2', tags: {} };
const named = (change: Partial<MachineFacts> = {}, running = true): NamedMachine => namedMachine({ ...facts, ...change }, running)!;
const said = (machine: NamedMachine, view: 'own' | 'shared' = 'own'): string[] =>
  machineRecords(machine, account, zone, view).map(({ name, data }) => `${name} ${data.type} ${dataText(data)}`);

describe("a machine's names", () => {
  it('are its own in four forms, with its id as text, and the name of its address', () => {
    const names = ['web.inst.alice', `${facts.id}.inst.alice`, `web.inst.${account.uuid}`, `${facts.id}.inst.${account.uuid}`].map((name) => `${name}.${zone}`);
    assert.deepEqual(namesOfMachine(named(), account, zone), names);
    assert.deepEqual(said(named()), [
      ...names.flatMap((name) => [`${name} A 10.80.0.2`, `${name} TXT "${facts.id}"`]),
      `2.0.80.10.in-addr.arpa PTR web.inst.alice.${zone}.`,
    ]);
  });

  it('are those of its services, while it runs and is not down', () => {
    const tags = { 'triton.cns.services': 'db:5432:priority=1,web' };
    const records = said(named({ tags }));
    for (const record of [
      'db.svc.alice A 10.80.0.2',
      'web.svc.alice A 10.80.0.2',
      `db.svc.alice SRV 1 10 5432 web.inst.alice.${zone}.`,
      `web.svc.alice TXT "${facts.id}"`,
    ])
      assert.ok(records.includes(record.replace(' ', `.${zone} `)), record);
    assert.ok(!records.some((record) => record.startsWith('web.svc') && record.includes('SRV')));
    for (const off of [named({ tags }, false), named({ tags, metadata: { 'triton.cns.status': 'down' } })]) assert.deepEqual(said(off), said(named()));
    assert.deepEqual(said(named({ tags, metadata: { 'triton.cns.status': 'up' } })), records);
  });

  it('are everybody’s to know on a network of several accounts', () => {
    const network = '11111111-1111-4111-8111-111111111111';
    const inside = { ...facts, address: '10.9.0.5', nics: [{ network, address: '10.9.0.5', more: ['10.9.0.6'], index: 0, primary: true }] };
    const told = (shared: string[]) => namedMachine(inside, true, new Set(shared))!.addresses.map((one) => ({ address: one.address, network: one.network }));
    assert.deepEqual(
      told([]),
      ['10.9.0.5', '10.9.0.6'].map((address) => ({ address, network })),
    );
    assert.deepEqual(
      told([network]),
      ['10.9.0.5', '10.9.0.6'].map((address) => ({ address, network: null })),
      'on a network of several accounts everybody may be told',
    );
  });

  it('obey its tags: hidden, another name for its address, and a wrong tag of old means nothing', () => {
    assert.equal(namedMachine({ ...facts, tags: { 'triton.cns.disable': true } }, true), null);
    assert.equal(namedMachine({ ...facts, tags: { 'triton.cns.disable': 'yes' } }, true), null);
    assert.deepEqual(said(named({ tags: { 'triton.cns.disable': 'false', 'triton.cns.services': ':::' } })), said(named()));
    assert.ok(said(named({ tags: { 'triton.cns.reverse_ptr': 'Mail.example.org' } })).includes('2.0.80.10.in-addr.arpa PTR mail.example.org.'));
    assert.ok(said(named({ metadata: { 'triton.cns.acme_challenge': 'token' } })).includes(`_acme-challenge.web.inst.alice.${zone} TXT "token"`));
  });

  it('on networks of the account are told to itself alone, also by the name of the network', () => {
    const machine = {
      ...named(),
      addresses: [
        { address: '10.80.0.2', network: null },
        { address: 'fd00::5', network: 'back' },
      ],
    };
    assert.ok(said(machine).includes(`back.web.inst.alice.${zone} AAAA fd00::5`));
    assert.ok(!said(machine).includes(`back.web.inst.alice.${zone} A 10.80.0.2`));
    assert.deepEqual(said(machine, 'shared'), said(named()));
    assert.deepEqual(said({ ...machine, addresses: machine.addresses.slice(1) }, 'shared'), []);
  });

  it('lead to an address of each family, on the asker’s own network before another', () => {
    const at = (address: string, on: string, isOpen = false) => ({ address, network: isOpen ? null : on, on, isOpen });
    const machine = { ...named(), addresses: [at('10.80.0.2', 'outside', true), at('192.168.10.5', 'back'), at('fd00::5', 'six')] };
    const told = (by: string, ...on: string[]) =>
      machineRecords(machine, account, zone, 'own')
        .filter(({ name, reach }) => name === `web.inst.alice.${zone}` && reaches({ by, on: new Set([by, ...on]) }, reach))
        .flatMap(({ data }) => ('address' in data ? [data.address] : []));
    assert.deepEqual(told('outside', 'six'), ['10.80.0.2', 'fd00::5']);
    assert.deepEqual(told('outside', 'back'), ['10.80.0.2']);
    assert.deepEqual(told('back', 'six'), ['192.168.10.5', 'fd00::5']);
    assert.deepEqual(told('six', 'back'), ['10.80.0.2', '192.168.10.5', 'fd00::5']);
  });

  it('are made of what it is called as far as a name can be, and of ids beyond', () => {
    assert.deepEqual([labelOf('My_web.1'), labelOf('a--b'), labelOf('Ünder'), labelOf('___')], ['my-web-1', 'a--b', 'nder', null]);
    assert.deepEqual(namesOfMachine(named({ name: '.'.repeat(3) }), { ...account, label: null }, zone), [`${facts.id}.inst.${account.uuid}.${zone}`]);
    fc.assert(fc.property(fc.string({ maxLength: 80 }), (text) => labelOf(text) === null || isName(labelOf(text)!)));
  });

  it('beneath a label that two accounts would have are the older one’s', () => {
    const accounts = [
      { id: '2', uuid: 'u2', name: 'a.b', createdAt: '2026-02' },
      { id: '1', uuid: 'u1', name: 'A_b', createdAt: '2026-01' },
    ];
    assert.deepEqual(
      namedAccounts(accounts).map(({ id, label }) => [id, label]),
      [
        ['1', 'a-b'],
        ['2', null],
      ],
    );
  });
});

describe('the tag of services', () => {
  it('is read as Triton reads it', () => {
    assert.deepEqual(parseServices('tags', 'foo'), [{ label: 'foo', ports: [] }]);
    assert.deepEqual(parseServices('tags', 'foo:1234,foo:1235:weight=3,bar:port=80:port=81'), [
      {
        label: 'foo',
        ports: [
          { port: 1234, priority: 0, weight: 10 },
          { port: 1235, priority: 0, weight: 3 },
        ],
      },
      { label: 'bar', ports: [{ port: 81, priority: 0, weight: 10 }] },
    ]);
  });

  it('is refused, with what is wrong, where it is not one', () => {
    for (const text of [
      '',
      'Foo',
      '1a',
      'a-',
      'foo:',
      'foo:0',
      'foo:65536',
      'foo:80:x',
      'foo:80:colour=1',
      'foo:weight=1',
      'foo:80:weight=-1',
      'a,,b',
      'a'.repeat(64),
    ])
      assert.throws(() => parseServices('tags', text), { code: 'invalid_argument' }, text);
  });

  it('is the same when it was printed and read again', () => {
    const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$/);
    const number = fc.integer({ min: 1, max: 65_535 });
    const ports = fc.uniqueArray(fc.record({ port: number, priority: number, weight: number }, { noNullPrototype: true }), {
      selector: ({ port }) => port,
      maxLength: 4,
    });
    const services = fc.uniqueArray(fc.record({ label, ports }, { noNullPrototype: true }), { selector: (one) => one.label, minLength: 1, maxLength: 5 });
    fc.assert(fc.property(services, (all) => assert.deepEqual(parseServices('tags', printServices(all)), all)));
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        try {
          parseServices('tags', text);
        } catch (error) {
          assert.equal((error as { code: string }).code, 'invalid_argument');
        }
      }),
    );
  });
});

describe('names of addresses', () => {
  it('lead back to the address, and stand in the zones of its subnet', () => {
    assert.equal(reverseName('10.80.1.2'), '2.1.80.10.in-addr.arpa');
    assert.equal(addressOfReverse('2.1.80.10.in-addr.arpa'), '10.80.1.2');
    assert.equal(addressOfReverse(reverseName('fd00::5')), 'fd00:0000:0000:0000:0000:0000:0000:0005');
    for (const no of ['80.10.in-addr.arpa', '999.1.80.10.in-addr.arpa', 'x.ip6.arpa']) assert.equal(addressOfReverse(no), undefined);
    assert.deepEqual(reverseZones('10.80.0.0/16'), ['80.10.in-addr.arpa']);
    assert.deepEqual(
      reverseZones('192.168.128.0/22'),
      ['128', '129', '130', '131'].map((part) => `${part}.168.192.in-addr.arpa`),
    );
    assert.deepEqual(reverseZones('fd12:3456::/32'), ['6.5.4.3.2.1.d.f.ip6.arpa']);
  });
});
