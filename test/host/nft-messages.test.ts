/** Elements told to the kernel by messages of our own are those that the library tells it in nft's language; and what a transaction came to is known. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { packetWords } from '../../src/host/network/packet-words.ts';
import { declarationOf, keyOf, kindOf } from '../../src/host/network/set-shapes.ts';
import type { FieldType, SetShape } from '../../src/host/network/set-shapes.ts';
import { dropShape } from '../../src/host/network/drop-rules.ts';
import { machineSets } from '../../src/host/network/table-pieces.ts';
import { changeSets } from '../../src/host/network/transaction.ts';
import type { SetChange } from '../../src/host/network/transaction.ts';
import { Nftables } from '../../src/sys/nftables.ts';
import { NftablesError } from '../../src/sys/nftables-error.ts';
import { becomeHost } from './network-world.ts';

before(becomeHost);

const byte = fc.nat(255);
const hex = (digits: number) => fc.integer({ min: 0, max: 16 ** digits - 1 }).map((value) => value.toString(16));
const ranges = (most: number) => fc.tuple(fc.nat(most), fc.nat(most)).map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`);
const ipv4 = fc.tuple(byte, byte, byte, byte).map((bytes) => bytes.join('.'));
const ipv6 = fc.array(hex(4), { minLength: 8, maxLength: 8 }).map((groups) => groups.join(':'));

const values: Readonly<Record<FieldType, fc.Arbitrary<string>>> = {
  ifname: fc.stringMatching(/^[a-z][a-z0-9]{0,14}$/).map((name) => `"${name}"`),
  ether_addr: fc.array(byte, { minLength: 6, maxLength: 6 }).map((bytes) => bytes.map((one) => one.toString(16).padStart(2, '0')).join(':')),
  ipv4_addr: ipv4,
  ipv6_addr: ipv6,
  inet_proto: fc.constantFrom('tcp', 'udp', 'ah', 'esp', '132'),
  inet_service: fc.nat(65_535).map(String),
  icmp_type: byte.map(String),
  icmp_code: byte.map(String),
  icmpv6_type: byte.map(String),
  icmpv6_code: byte.map(String),
  classid: fc.tuple(hex(4), fc.integer({ min: 1, max: 0xffff })).map(([major, minor]) => `${major}:${minor.toString(16)}`),
  mark: fc.nat(0x7fff_ffff).map(String),
};

const wide: Partial<Record<FieldType, fc.Arbitrary<string>>> = {
  ipv4_addr: fc.tuple(byte, byte, byte, fc.nat(32)).map(([one, two, three, length]) => (length < 24 ? `${one}.0.0.0/8` : `${one}.${two}.${three}.0/24`)),
  ipv6_addr: fc.tuple(hex(4), fc.constantFrom('::/16', ':8000::/17', ':c000::/18')).map((parts) => parts.join('')),
  inet_proto: fc.constant('0-255'),
  inet_service: ranges(65_535),
  icmp_type: ranges(255),
  icmp_code: ranges(255),
  icmpv6_type: ranges(255),
  icmpv6_code: ranges(255),
};

const element = ({ key, value, isInterval = false }: SetShape): fc.Arbitrary<string> => {
  const field = (type: FieldType) => (isInterval ? fc.oneof(values[type], wide[type] ?? values[type]) : values[type]);
  const valueText =
    value === undefined ? fc.constant('') : value === 'verdict' ? fc.constantFrom('goto one', 'goto two') : together(value.map((type) => values[type]));
  return fc.tuple(together(key.map(field)), valueText).map(([keyText, text]) => (text === '' ? keyText : `${keyText} : ${text}`));
};

const together = (fields: readonly fc.Arbitrary<string>[]): fc.Arbitrary<string> => fc.tuple(...fields).map((texts) => texts.join(' . '));

const firewallShapes = ([address, icmp]: ['ipv4_addr', 'icmp'] | ['ipv6_addr', 'icmpv6']): Record<string, SetShape> => ({
  senders: { key: [address], value: 'verdict' },
  ports: { key: [address, address, 'inet_proto', 'inet_service'], isInterval: true },
  anybodys: { key: ['inet_proto', 'inet_service'], isInterval: true },
  types: { key: [address, `${icmp}_type`, `${icmp}_code`], isInterval: true },
  sources: { key: [address, 'inet_proto'], isInterval: true },
});

const shapes: Readonly<Record<string, SetShape>> = Object.fromEntries(
  ([4, 6] as const).flatMap((family) =>
    Object.entries({
      ...machineSets(packetWords[family]),
      dropped: dropShape,
      ...firewallShapes(family === 4 ? ['ipv4_addr', 'icmp'] : ['ipv6_addr', 'icmpv6']),
    }).map(([name, shape]) => [`${name}${family}`, shape]),
  ),
);

const table = 'probe';
const open = (): Nftables => {
  const nftables = new Nftables();
  nftables.run(`table inet ${table}\ndelete table inet ${table}\ntable inet ${table} { chain one { } ; chain two { } ; }\n`);
  return nftables;
};

const listed = (nftables: Nftables, set: string, shape: SetShape): string[] => {
  const elements = /elements = \{([^}]*)\}/.exec(nftables.run(`list ${kindOf(shape)} inet ${table} ${set}\n`))?.[1] ?? '';
  return elements
    .split(',')
    .flatMap((one) => one.trim() || [])
    .sort();
};

for (const [name, shape] of Object.entries(shapes))
  test(`the elements of ${name} are as the library has them, added and deleted`, () => {
    using nftables = open();
    for (const set of ['texts', 'messages']) nftables.run(`add ${kindOf(shape)} inet ${table} ${set} { ${declarationOf(shape)} }\n`);
    const commands = (verb: string, elements: readonly string[]): string =>
      elements.length === 0 ? '' : `${verb} element inet ${table} texts { ${elements.join(', ')} }\n`;
    const change = (verb: SetChange['verb'], elements: readonly string[]) => changeSets(nftables, table, [{ verb, set: 'messages', shape, elements }]);
    let most = 0;
    fc.assert(
      fc.property(fc.uniqueArray(element(shape), { selector: keyOf, maxLength: 12 }), fc.nat(12), (texts, kept) => {
        for (const set of ['texts', 'messages']) nftables.run(`flush ${kindOf(shape)} inet ${table} ${set}\n`);
        // What overlaps is refused of either.
        const refused = refusalOf(() => nftables.run(commands('add', texts)));
        assert.equal(refusalOf(() => change('create', texts)) === undefined, refused === undefined, `the library: ${refused ?? 'done'}`);
        if (refused !== undefined) return;
        assert.deepEqual(listed(nftables, 'messages', shape), listed(nftables, 'texts', shape));
        const gone = texts.slice(kept).map(keyOf);
        nftables.run(commands('delete', gone));
        change('delete', gone);
        const left = listed(nftables, 'messages', shape);
        assert.deepEqual(left, listed(nftables, 'texts', shape));
        most = Math.max(most, left.length);
      }),
      { numRuns: 40 },
    );
    assert.ok(most > 2, `at most ${most} were compared`);
  });

const refusalOf = (work: () => unknown): string | undefined => {
  try {
    work();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof NftablesError, String(error));
    return error.message;
  }
};

const addresses: SetShape = { key: ['ipv4_addr'] };
const named = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, index) => `10.${(first + index) >> 16}.${((first + index) >> 8) & 255}.${(first + index) & 255}`);

test('a transaction is done or not, and says what of it was refused', () => {
  using nftables = open();
  for (const set of ['some', 'others']) nftables.run(`add set inet ${table} ${set} { ${declarationOf(addresses)} }\n`);
  const change = (...changes: [SetChange['verb'], string, string[]][]) =>
    changeSets(
      nftables,
      table,
      changes.map(([verb, set, elements]) => ({ verb, set, shape: addresses, elements })),
    );
  change(['create', 'some', named(3)]);
  const before = listed(nftables, 'some', addresses);
  const refusals = [
    [['create', 'others', named(2)], ['create', 'some', named(2, 2)], /create element inet probe some: EEXIST/, 'exists'],
    [['delete', 'some', named(1)], ['delete', 'some', named(1, 7)], /delete element inet probe some: ENOENT/, 'missing'],
    [['add', 'some', named(1, 9)], ['add', 'none', named(1)], /add element inet probe none: ENOENT/, 'missing'],
  ] as const;
  for (const [one, other, message, kind] of refusals) {
    assert.throws(
      () => change([...one], [...other]),
      (error) => error instanceof NftablesError && error.kind === kind && message.test(error.message),
    );
    assert.deepEqual([listed(nftables, 'some', addresses), listed(nftables, 'others', addresses)], [before, []]);
  }
  // The same in one transaction: it goes, and comes again.
  change(['delete', 'some', named(1)], ['create', 'some', named(1)], ['add', 'some', named(3)]);
  assert.deepEqual(listed(nftables, 'some', addresses), before);
  change();
  assert.deepEqual([nftables.hasTable(table), nftables.hasTable('nowhere')], [true, false]);
});

test('one of many thousand elements is one transaction, and so is one of which nothing is done', () => {
  using nftables = open();
  nftables.run(`add set inet ${table} many { ${declarationOf(addresses)} }\n`);
  const change = (verb: SetChange['verb'], elements: string[]) => changeSets(nftables, table, [{ verb, set: 'many', shape: addresses, elements }]);
  change('create', named(30_000));
  assert.equal(listed(nftables, 'many', addresses).length, 30_000);
  assert.throws(() => change('create', [...named(20_000, 40_000), ...named(1)]), /EEXIST/);
  assert.equal(listed(nftables, 'many', addresses).length, 30_000);
  change('delete', named(29_999));
  assert.deepEqual(listed(nftables, 'many', addresses), ['10.0.117.47']);
});
