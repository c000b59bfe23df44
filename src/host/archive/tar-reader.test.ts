import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import tar from 'tar-stream';
import { CenoteError } from '../../base/errors.ts';
import { decompressed } from './decompress.ts';
import { blockSize, decodePax, encodeHeader, paddingOf } from './tar-format.ts';
import { TarReader } from './tar-reader.ts';

const readAll = async (bytes: Buffer, chunk = 700) => {
  const parts = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, at) => bytes.subarray(at * chunk, (at + 1) * chunk));
  const reader = new TarReader(decompressed(Readable.from(parts)));
  const entries: { name: string; flag: string; link: string; body: string; pax: [string, string][] }[] = [];
  for (let entry = await reader.next(); entry !== null; entry = await reader.next()) {
    const body: Buffer[] = [];
    for await (const part of reader.body()) body.push(part);
    entries.push({
      name: entry.header.name.toString(),
      flag: entry.header.flag,
      link: entry.header.link.toString(),
      body: Buffer.concat(body).toString(),
      pax: [...entry.records].map(([key, value]) => [key, value.toString()]),
    });
  }
  return entries;
};

/** An archive made by an independent writer. */
const sample = async (): Promise<Buffer> => {
  const pack = tar.pack();
  pack.entry({ name: 'short', mode: 0o600 }, 'hello');
  pack.entry({ name: `${'d'.repeat(150)}/${'é'.repeat(40)}` }, 'x'.repeat(2000));
  pack.entry({ name: 'link', type: 'symlink', linkname: `/${'t'.repeat(200)}` });
  pack.entry({ name: 'attributes', pax: { 'SCHILY.xattr.user.a': 'b' } }, 'y');
  pack.finalize();
  const parts: Buffer[] = [];
  for await (const part of pack) parts.push(part as Buffer);
  return Buffer.concat(parts);
};

test('reads what another writer made, plain and compressed, however it is cut', async () => {
  const plain = await sample();
  const expected = await readAll(plain);
  assert.deepEqual(
    expected.map((entry) => [entry.name.length, entry.flag, entry.body.length]),
    [
      [5, '0', 5],
      [191, '0', 2000],
      [4, '2', 0],
      [10, '0', 1],
    ],
  );
  assert.equal(expected[2]!.link.length, 201);
  assert.equal(new Map(expected[3]!.pax).get('SCHILY.xattr.user.a'), 'b');
  for (const bytes of [plain, gzipSync(plain), zstdCompressSync(plain)])
    for (const chunk of [1, 511, 512, 10_000]) assert.deepEqual(await readAll(bytes, chunk), expected);
});

test('what is cut off, damaged, or something else is refused in one line', async () => {
  const plain = await sample();
  const cases: [Buffer, RegExp][] = [
    [Buffer.alloc(0), /is empty/],
    [Buffer.from('PK\x03\x04 and more'), /zip/],
    [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), /xz/],
    [Buffer.from('no archive at all'), /not a tar archive/],
    [Buffer.alloc(5000, 'x'), /not a tar archive/],
    [plain.subarray(0, 600), /cut off/],
    [plain.subarray(0, 1024), /without the end mark/],
    [Buffer.concat([plain, plain]), /after its end mark/],
    [gzipSync(plain).subarray(0, 200), /could not be read|cut off/],
  ];
  for (const [bytes, pattern] of cases)
    await assert.rejects(
      readAll(bytes),
      (error) => error instanceof CenoteError && pattern.test(error.message) && !error.message.includes('\n'),
      String(pattern),
    );
});

test('a bomb in a header is refused before it is kept', async () => {
  const huge = Buffer.concat(
    encodeHeader({ name: Buffer.from('x'), link: Buffer.alloc(0), flag: 'x', mode: 0, uid: 0, gid: 0, size: 2 ** 40, mtime: 0 }, new Map()),
  );
  await assert.rejects(readAll(huge), /extended header of 1099511627776 bytes/);
});

test('random bytes and random damage never do anything but fail in words', async () => {
  const plain = await sample();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(plain.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 }), async (damage) => {
      const bytes = Buffer.from(plain);
      for (const [at, value] of damage) bytes[at] = value;
      await readAll(bytes).catch((error: unknown) => assert.ok(error instanceof CenoteError, String(error)));
    }),
  );
});

test('headers written are read back the same, also long ones and attributes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ minLength: 1, maxLength: 300, unit: fc.constantFrom('a', '/', 'ü', ' ') }),
      fc.string({ maxLength: 300, unit: fc.constantFrom('b', '/', '.') }),
      fc.uint8Array({ maxLength: 64 }),
      async (name, link, value) => {
        const flag = link === '' ? '0' : '2';
        const header = { name: Buffer.from(name), link: Buffer.from(link), flag, mode: 0o4755, uid: 33, gid: 65_535, size: 0, mtime: 1 };
        const bytes = Buffer.concat([...encodeHeader(header, new Map([['user.k', Buffer.from(value)]])), Buffer.alloc(2 * blockSize)]);
        const entry = await new TarReader(Readable.from([bytes])).next();
        assert.deepEqual(entry!.header, header);
        assert.equal(entry!.records.get('LIBARCHIVE.xattr.user.k')!.toString(), Buffer.from(value).toString('base64').replace(/=+$/, ''));
      },
    ),
  );
});

test('pax records are told by their lengths, whatever bytes they hold', () => {
  assert.deepEqual([...decodePax(Buffer.from('9 a=b\nc=\n'))], [['a', Buffer.from('b\nc=')]]);
  for (const bad of ['5 a=b\n', '6 a=b\n6', '99 a=b\n', 'x', '6 abb\n']) assert.throws(() => decodePax(Buffer.from(bad)), /pax header is damaged/);
  assert.equal(paddingOf(512), 0);
});
