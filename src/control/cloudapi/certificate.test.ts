import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { certificateFor, certificatePaths } from './certificate.ts';

test('one of its own making, kept, and made anew for another address', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'cenote-certificate-'));
  try {
    const first = certificateFor(directory, '192.0.2.7');
    const certificate = new X509Certificate(first.cert);
    assert.ok(certificate.verify(certificate.publicKey));
    assert.ok(certificate.ca);
    assert.deepEqual(
      ['192.0.2.7', '127.0.0.1', '::1', '192.0.2.8'].map((address) => certificate.checkIP(address) !== undefined),
      [true, true, true, false],
    );
    assert.equal(certificate.checkHost('localhost'), 'localhost');
    assert.equal((await stat(certificatePaths(directory).key)).mode & 0o777, 0o600);
    assert.deepEqual(certificateFor(directory, '192.0.2.7'), first);
    assert.deepEqual(certificateFor(directory, '0.0.0.0'), first);
    const other = certificateFor(directory, '2001:db8::8');
    assert.notEqual(other.cert, first.cert);
    assert.ok(new X509Certificate(other.cert).checkIP('2001:db8::8') !== undefined);
    await writeFile(certificatePaths(directory).key, first.key);
    await writeFile(certificatePaths(directory).cert, 'not a certificate');
    assert.throws(() => certificateFor(directory, '192.0.2.7'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
