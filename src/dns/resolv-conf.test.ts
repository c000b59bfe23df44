import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseResolvConf, readResolvConf, resolvConfFor } from './resolv-conf.ts';

const withFile = (text: string, use: (path: string) => void): void => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-resolv-'));
  try {
    writeFileSync(join(directory, 'resolv.conf'), text);
    use(join(directory, 'resolv.conf'));
  } finally {
    rmSync(directory, { recursive: true });
  }
};

test('servers, the last search list, and all options are read', () => {
  const text =
    '# made by hand\nnameserver 127.0.0.53\n nameserver\tfe80::1%eth0 ; comment\nnameserver nonsense\ndomain old.test\nsearch a.test b.test\noptions edns0 ndots:5\noptions trust-ad\n';
  assert.deepEqual(parseResolvConf(text), { servers: ['127.0.0.53', 'fe80::1%eth0'], search: ['a.test', 'b.test'], options: ['edns0', 'ndots:5', 'trust-ad'] });
});

test('no file, or none that names a server, means a server on the host', () => {
  assert.deepEqual(readResolvConf('/nonexistent/resolv.conf').servers, ['127.0.0.1']);
  withFile('search a.test\n', (path) => assert.deepEqual(readResolvConf(path), { servers: ['127.0.0.1'], search: ['a.test'], options: [] }));
});

test('machines ask the gateway, search what the host searches, and never more than once a name', () => {
  withFile('nameserver 192.0.2.1\nsearch a.test . b_c.test.\noptions ndots:5 timeout:1 edns0 trust-ad rotate edns0\n', (path) =>
    assert.equal(resolvConfFor('10.80.0.1', path, []), 'nameserver 10.80.0.1\nsearch a.test b_c.test.\noptions ndots:1 edns0 trust-ad\n'),
  );
  withFile('nameserver 192.0.2.1\n', (path) => {
    assert.equal(resolvConfFor('10.80.0.1', path, []), 'nameserver 10.80.0.1\noptions ndots:1\n');
    assert.equal(resolvConfFor('10.80.0.1', path, ['inst.a.test', 'svc.a.test']), 'nameserver 10.80.0.1\nsearch inst.a.test svc.a.test\noptions ndots:1\n');
  });
});

test("whatever the host's file holds, the machines' has these lines and no others", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `search ${text}`),
          fc.string().map((text) => `options ${text}`),
        ),
        { maxLength: 6 },
      ),
      (lines) => {
        withFile(lines.join('\n'), (path) =>
          assert.match(resolvConfFor('10.80.0.1', path, []), /^nameserver 10\.80\.0\.1\n(search [\w. -]{1,256}\n)?options ndots:1( edns0| trust-ad)*\n$/),
        );
      },
    ),
    { numRuns: 50 },
  );
});
