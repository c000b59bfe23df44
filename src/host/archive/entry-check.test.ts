import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CenoteError } from '../../base/errors.ts';
import { EntryChecker, normalName } from './entry-check.ts';
import type { RawHeader } from './tar-format.ts';

const limits = { maxEntries: 10, maxBytes: 1000 };
const raw = (name: string, flag = '0', more: Partial<RawHeader> = {}): RawHeader => ({
  name: Buffer.from(name),
  link: Buffer.alloc(0),
  flag,
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  ...more,
});
const check = (header: RawHeader, records = new Map<string, Buffer>(), checker = new EntryChecker(limits)) => checker.check({ header, records });
const refused = (run: () => unknown, pattern: RegExp) =>
  assert.throws(run, (error) => error instanceof CenoteError && pattern.test(error.message) && !error.message.includes('\n'));

test('names come out in one normal form', () => {
  for (const [from, to] of [
    ['a', 'a'],
    ['./a//b/', 'a/b'],
    ['./', ''],
    ['a/./b', 'a/b'],
    ['.wh.x', '.wh.x'],
    ['..a/b..', '..a/b..'],
  ] as const) {
    assert.equal(normalName(Buffer.from(from)).toString(), to);
  }
});

test('names that could lead out are refused with the name', () => {
  refused(() => check(raw('/etc/passwd')), /"\/etc\/passwd" has an absolute name/);
  refused(() => check(raw('a/../../b')), /"a\/..\/..\/b" has ".." in its name/);
  refused(() => check(raw('..')), /has ".."/);
  refused(() => check(raw('')), /empty name/);
  refused(() => check(raw('x'.repeat(256))), /longer than 255/);
  refused(() => check(raw('a\0b')), /zero byte/);
});

test('only files, directories and links are accepted', () => {
  for (const [flag, what] of [
    ['3', /character device/],
    ['4', /block device/],
    ['6', /named pipe/],
    ['S', /sparse/],
    ['Z', /unknown type "Z"/],
  ] as const) {
    refused(() => check(raw('x', flag)), what);
  }
  assert.equal(check(raw('x', '7'))!.header.flag, '0');
  assert.equal(check(raw('x/'))!.header.flag, '5');
  assert.equal(check(raw('./', '5')), null);
});

test('a hard link must name an earlier file of the archive', () => {
  const checker = new EntryChecker(limits);
  checker.check({ header: raw('dir/file'), records: new Map() });
  const link = (target: string) => checker.check({ header: raw('link', '1', { link: Buffer.from(target) }), records: new Map() });
  assert.equal(link('./dir//file')!.header.link.toString(), 'dir/file');
  refused(() => link('dir/other'), /no earlier file/);
  refused(() => link('/etc/shadow'), /outside the archive/);
  refused(() => link('../x'), /outside the archive/);
  checker.check({ header: raw('dir/file', '2', { link: Buffer.from('/etc/shadow') }), records: new Map() });
  refused(() => link('dir/file'), /no earlier file/);
});

const mib = 1024 * 1024;
test('limits count what is unpacked', () => {
  const checker = new EntryChecker({ maxEntries: 2, maxBytes: 2 * mib });
  checker.check({ header: raw('a', '0', { size: mib }), records: new Map() });
  refused(() => checker.check({ header: raw('b', '0', { size: mib + 1 }), records: new Map() }), /more than 2M unpacked/);
  refused(() => checker.check({ header: raw('c'), records: new Map() }), /more than 2 entries/);
});

test('ids beyond a machine, odd attributes, lists and holes are refused', () => {
  refused(() => check(raw('x', '0', { uid: 65_536 })), /uid 65536/);
  const record =
    (key: string, value = 'v') =>
    () =>
      check(raw('x'), new Map([[key, Buffer.from(value)]]));
  refused(record('SCHILY.xattr.trusted.overlay.opaque'), /trusted\.overlay\.opaque/);
  refused(record('LIBARCHIVE.xattr.security.selinux'), /security\.selinux/);
  refused(record('SCHILY.acl.access'), /access control list/);
  refused(record('GNU.sparse.name', '../x'), /sparse/);
  assert.deepEqual([...check(raw('x'), new Map([['SCHILY.xattr.user.k', Buffer.from([0, 255])]]))!.extendedAttributes], [['user.k', Buffer.from([0, 255])]]);
  assert.equal(check(raw('x', '0', { mode: 0o104_755 }))!.header.mode, 0o4755);
});

test('whatever passes is plain and relative', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '.', '/', '\0', 'é', '\n'), maxLength: 12 }),
      fc.constantFrom(...Array.from('012345679SLKxgZ')),
      fc.string({ maxLength: 8 }),
      (name, flag, link) => {
        try {
          const passed = check(raw(name, flag, { link: Buffer.from(link) }));
          if (passed === null) return;
          const parts = passed.header.name.toString('latin1').split('/');
          assert.ok(parts.every((part) => part !== '' && part !== '.' && part !== '..'));
          assert.ok('0125'.includes(passed.header.flag));
        } catch (error) {
          assert.ok(error instanceof CenoteError);
        }
      },
    ),
  );
});
