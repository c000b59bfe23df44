/** The rule language: what reads, how it is written, and what is said of what does not read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CenoteError } from '../../base/errors.ts';
import { arbitraryRule } from './arbitrary-rule.ts';
import { parseRule } from './parse.ts';
import { printRule } from './print.ts';

const vm = '9fb1a5b2-3c7e-4d5c-8a5f-1d0c8a3f2b11';
const other = '1fb1a5b2-3c7e-4d5c-8a5f-1d0c8a3f2b11';

describe('canonical text', () => {
  const texts: readonly (readonly [written: string, canonical: string])[] = [
    [`FROM any TO vm ${vm} ALLOW tcp PORT 80`, `FROM any TO vm ${vm} ALLOW tcp PORT 80`],
    ['from any to all vms allow tcp port 80', 'FROM any TO all vms ALLOW tcp PORT 80'],
    ['FROM (ANY) TO (ALL VMS) BLOCK UDP (PORT ALL)', 'FROM any TO all vms BLOCK udp PORT all'],
    ['FROM ip 1.2.3.4 TO tag some-tag ALLOW tcp PORT 80', 'FROM ip 1.2.3.4 TO tag "some-tag" ALLOW tcp PORT 80'],
    ['FROM tag a = true TO tag "b c" = "d" ALLOW tcp PORT 80', 'FROM tag "a" = "true" TO tag "b c" = "d" ALLOW tcp PORT 80'],
    [
      `FROM (vm ${vm} OR tag t OR subnet 10.0.0.0/8 OR ip 10.0.0.9 OR ip 10.0.0.10 OR vm ${other} OR ip 10.0.0.9) TO any BLOCK udp (PORT 54 AND PORT 53)`,
      `FROM (ip 10.0.0.10 OR ip 10.0.0.9 OR subnet 10.0.0.0/8 OR tag "t" OR vm ${other} OR vm ${vm}) TO any BLOCK udp (PORT 53 AND PORT 54)`,
    ],
    ['FROM (tag t OR tag t = v) TO (tag u = b OR tag u = a) ALLOW ah', 'FROM tag "t" TO (tag "u" = "a" OR tag "u" = "b") ALLOW ah'],
    ['FROM any TO all vms ALLOW tcp PORTS 80, 443', 'FROM any TO all vms ALLOW tcp (PORT 80 AND PORT 443)'],
    ['FROM any TO all vms ALLOW tcp PORTS 8000-8080, 80 , 20 - 21', 'FROM any TO all vms ALLOW tcp PORTS 20 - 21, 80, 8000 - 8080'],
    ['FROM any TO all vms ALLOW tcp PORTS 1- 9', 'FROM any TO all vms ALLOW tcp PORTS 1 - 9'],
    ['FROM any TO all vms ALLOW icmp TYPE 8', 'FROM any TO all vms ALLOW icmp TYPE 8'],
    ['FROM any TO all vms ALLOW icmp (TYPE 11 CODE 0 AND TYPE 8 CODE 0)', 'FROM any TO all vms ALLOW icmp (TYPE 8 CODE 0 AND TYPE 11 CODE 0)'],
    ['FROM subnet fd00::/64 TO all vms ALLOW icmp6 TYPE all', 'FROM subnet fd00::/64 TO all vms ALLOW icmp6 TYPE all'],
    ['FROM tag a TO tag b ALLOW esp PRIORITY 12', 'FROM tag "a" TO tag "b" ALLOW esp PRIORITY 12'],
    ['FROM tag a TO tag b ALLOW tcp PORT 80 PRIORITY 0', 'FROM tag "a" TO tag "b" ALLOW tcp PORT 80'],
    ['FROM tag "김치" = "\\u0041\\n\\(\\)\\"" TO any ALLOW ah', 'FROM tag "김치" = "A\\n\\(\\)\\"" TO any ALLOW ah'],
    ['FROM tag "a\\u3000b/\\/" TO any ALLOW ah', 'FROM tag "a\\u3000b//" TO any ALLOW ah'],
  ];
  for (const [written, canonical] of texts) {
    it(written, () => {
      assert.equal(printRule(parseRule(written)), canonical);
    });
  }

  it('reads back as the same rule, whatever the rule', () => {
    fc.assert(
      fc.property(arbitraryRule({ families: [4, 6], mostTargets: 24 }), (rule) => {
        const text = printRule(rule);
        assert.deepEqual(parseRule(text), rule);
        assert.equal(printRule(parseRule(text)), text);
      }),
    );
  });

  it('holds any string as a tag', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (name, value) => {
        const rule = parseRule(printRule({ ...parseRule('FROM tag x TO any ALLOW ah'), from: [{ kind: 'tag', name, value }] }));
        assert.deepEqual(rule.from, [{ kind: 'tag', name, value }]);
      }),
    );
  });

  it('says what is wrong of any text, and never fails otherwise', () => {
    const words =
      'FROM to ANY all vms ip subnet tag vm 10.0.0.1 fd00::1 /24 "x" 80 80-90 - , = ( ) OR and ALLOW block tcp icmp port PORTS TYPE code ah priority 5'.split(
        ' ',
      );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.constantFrom(...words)).map((all) => all.join(' ')),
        ),
        (text) => {
          try {
            parseRule(text);
          } catch (error) {
            assert.ok(error instanceof CenoteError && error.code === 'invalid_argument', String(error));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

const repeated = (count: number, what: (index: number) => string, by: string): string =>
  Array.from({ length: count }, (_, index) => what(index)).join(` ${by} `);

describe('what does not read', () => {
  const faults: readonly (readonly [text: string, message: string])[] = [
    ['FROM ip 10.99.99.99.254 TO tag smartdc_role ALLOW tcp port 22', "Error at character 19: '.254 TO tag smartdc_', found: unexpected text"],
    ['FROM foo TO ip 8.8.8.8 ALLOW udp port 53', "Error at character 4: 'foo', expected: '(', 'all', 'any', 'ip', 'subnet', 'vm', 'tag', found: word"],
    ['invalid', "Error at character 0: 'invalid', expected: 'FROM', found: word"],
    ['From any TO all vms ALLOW ah', "Error at character 0: 'From', expected: 'FROM', found: word"],
    ['FROM tag foo TO ip 10.288.0.0 ALLOW udp port 53', 'IPv4 address "10.288.0.0" is invalid'],
    ['FROM tag foo TO ip fd00::12345 ALLOW udp port 53', 'IPv6 address "fd00::12345" is invalid'],
    ['FROM tag foo TO subnet 10.350.0.0/24 ALLOW udp port 53', 'Subnet "10.350.0.0/24" is invalid (bad address component)'],
    ['FROM tag foo TO subnet 10.8.0.0/33 ALLOW udp port 53', 'Subnet "10.8.0.0/33" is invalid (bad prefix length)'],
    ['FROM tag foo TO subnet 10.8.0.0/5 ALLOW udp port 53', 'Subnet "10.8.0.0/5" is invalid (bits set to right of mask)'],
    ['FROM tag foo TO subnet fd005::/64 ALLOW udp port 53', 'Subnet "fd005::/64" is invalid (bad address component)'],
    ['FROM tag foo TO subnet fd00::/130 ALLOW udp port 53', 'Subnet "fd00::/130" is invalid (bad prefix length)'],
    ['FROM tag foo TO subnet fd00::/2 ALLOW udp port 53', 'Subnet "fd00::/2" is invalid (bits set to right of mask)'],
    ['FROM tag foo TO any ALLOW udp port 0', 'Port number "0" is invalid'],
    ['FROM tag foo TO any ALLOW udp port 65537', 'Port number "65537" is invalid'],
    ['FROM tag foo TO any ALLOW tcp ports 1-20-30', '"1-20-30" is not a valid port number or range'],
    ['FROM tag foo TO any ALLOW tcp ports 0-20', 'Port number "0" is invalid'],
    ['FROM tag foo TO any ALLOW tcp ports 20-65537', 'Port number "65537" is invalid'],
    ['FROM tag foo TO any ALLOW tcp ports 20-bar', 'Port number "bar" is invalid'],
    ['FROM tag foo TO any ALLOW tcp ports bar-20', 'Port number "bar" is invalid'],
    ['FROM tag foo TO any ALLOW tcp ports 20 - 10', 'The end of the range (10) cannot be less than the start (20)'],
    ['FROM vm asdf TO any ALLOW udp port 50', 'UUID "asdf" is invalid'],
    ['FROM (all vms OR tag one) TO ip 10.0.0.1 ALLOW udp port 53', "Error at character 13: 'OR', expected: ')', found: OR"],
    ['FROM ip 10.0.0.1 TO (any OR tag one) ALLOW udp port 53', "Error at character 24: 'OR', expected: ')', found: OR"],
    ['FROM ip 10.0.0.1 TO all vms ALLOW TCP (port 53 AND port ALL)', "Error at character 55: 'ALL', expected: 'WORD', found: ALL"],
    ['FROM tag a TO tag b ALLOW TCP PORT all PRIORITY 101', 'Priority level "101" is invalid'],
    ['FROM tag a TO tag b ALLOW TCP PORT all PRIORITY immediate', 'Priority level "immediate" is invalid'],
    ['FROM tag a TO tag b ALLOW ah now', "Error at character 28: 'now', expected: 'EOF', 'PRIORITY', found: word"],
    ['FROM any TO any ALLOW TCP port 53', 'rule does not affect VMs'],
    ['FROM ip 10.8.0.1 TO subnet 10.9.0.0/16 ALLOW TCP port 53', 'rule does not affect VMs'],
    [`FROM (${repeated(25, (n) => `ip 10.0.0.${n}`, 'OR')}) TO all vms ALLOW TCP port 53`, 'maximum of 24 targets allowed per side'],
    [`FROM all vms TO any BLOCK TCP (${repeated(25, (n) => `port 1${n}`, 'AND')})`, 'maximum of 24 ports allowed'],
    [`FROM all vms TO any BLOCK ICMP (${repeated(25, (n) => `type ${n}`, 'AND')})`, 'maximum of 24 types allowed'],
    ['FROM all vms TO ip fd00::45 BLOCK ICMP TYPE 8', 'rule affects ICMPv4 but contains a non-IPv4 address'],
    ['FROM all vms TO subnet fe80::/64 BLOCK ICMP TYPE 8', 'rule affects ICMPv4 but contains a non-IPv4 subnet'],
    ['FROM all vms TO ip 1.2.3.4 BLOCK ICMP6 TYPE 128', 'rule affects ICMPv6 but contains a non-IPv6 address'],
    ['FROM all vms TO subnet 10.0.0.0/8 BLOCK ICMP6 TYPE 128', 'rule affects ICMPv6 but contains a non-IPv6 subnet'],
    ['FROM all vms TO any BLOCK ICMP TYPE 260', 'ICMP type "260" is invalid'],
    ['FROM all vms TO any BLOCK ICMP TYPE 8 CODE 270', 'ICMP code "270" is invalid'],
    ['x'.repeat(9000), 'the rule is longer than 8192 characters'],
  ];
  for (const [text, message] of faults) {
    it(text.slice(0, 90), () => {
      assert.throws(
        () => parseRule(text),
        (error: unknown) => error instanceof CenoteError && error.fields[0]!.field === 'rule' && error.fields[0]!.message === message,
      );
    });
  }

  it('a rule at every limit reads', () => {
    const side = repeated(24, (n) => `tag ${'n'.repeat(40)}${n} = ${'v'.repeat(40)}${n}`, 'OR');
    const rule = parseRule(`FROM (${side}) TO (${side}) ALLOW tcp PORTS ${repeated(24, (n) => `${n * 100 + 1} - ${n * 100 + 50}`, ',')} PRIORITY 100`);
    assert.equal(rule.from.length, 24);
  });
});
