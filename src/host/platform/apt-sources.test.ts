import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { fetchOptions, hostSources, ofDistribution, parseOneLine, parseStanzas } from './apt-sources.ts';

const stanzas = `# comment
Types: deb deb-src
# another
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://other.example/
Suites: nodistro
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main
`;

test('stanzas become one entry for each suite', () => {
  const sources = parseStanzas(stanzas);
  assert.deepEqual(
    sources.map(({ uri, suite, components }) => [uri, suite, components.join('+')]),
    [
      ['http://mirror.example/debian', 'bookworm', 'main+contrib'],
      ['http://mirror.example/debian', 'bookworm-updates', 'main+contrib'],
      ['https://other.example/', 'nodistro', 'main'],
    ],
  );
  assert.deepEqual(sources[0]!.options, { 'signed-by': '/usr/share/keyrings/debian-archive-keyring.gpg' });
  assert.deepEqual(sources[2]!.options, {});
});

test('lines are read with and without options', () => {
  const text =
    'deb http://a.example/debian bookworm main # end\n#deb http://b.example x main\n deb [arch=amd64 signed-by=/k.gpg] http://c.example bookworm-security main non-free\ndeb-src http://a.example bookworm main\n';
  assert.deepEqual(parseOneLine(text), [
    { uri: 'http://a.example/debian', suite: 'bookworm', components: ['main'], options: {} },
    { uri: 'http://c.example', suite: 'bookworm-security', components: ['main', 'non-free'], options: { arch: 'amd64', 'signed-by': '/k.gpg' } },
  ]);
});

test('only the distribution’s own entries are taken', () => {
  const source = (suite: string, component = 'main') => ({ uri: 'http://a.example', suite, components: [component], options: {} });
  const all = [
    source('bookworm'),
    source('bookworm-updates'),
    source('bookworm-security'),
    source('bookworm-backports'),
    source('nodistro'),
    source('bookworm', 'stable'),
    source('trixie'),
  ];
  assert.deepEqual(
    ofDistribution(all, 'bookworm').map(({ suite }) => suite),
    ['bookworm', 'bookworm-updates', 'bookworm-security'],
  );
});

test('both forms of a host are read, doubles once; none is said', async () => {
  const etc = mkdtempSync(join(tmpdir(), 'cenote-apt-'));
  try {
    await assert.rejects(hostSources(etc, 'bookworm'), /no source of bookworm main/);
    mkdirSync(join(etc, 'sources.list.d'));
    writeFileSync(
      join(etc, 'sources.list'),
      'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main contrib\n',
    );
    writeFileSync(join(etc, 'sources.list.d/debian.sources'), stanzas);
    writeFileSync(join(etc, 'sources.list.d/old.list.disabled'), 'deb http://never.example bookworm main\n');
    const signed = '[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]';
    assert.deepEqual(await hostSources(etc, 'bookworm'), [
      `deb ${signed} http://mirror.example/debian bookworm main contrib`,
      `deb ${signed} http://mirror.example/debian bookworm-updates main contrib`,
    ]);
  } finally {
    rmSync(etc, { recursive: true });
  }
});

test('of apt’s options only those about fetching are kept', () => {
  const dump =
    'Acquire "";\nAcquire::http::Proxy "http://proxy.example:3128";\nAcquire::Languages "";\nAcquire::Languages:: "none";\nAcquire::IndexTargets::deb::x "y";\nAcquire::Check-Date "false";\n';
  assert.deepEqual(fetchOptions(dump), ['Acquire::http::Proxy "http://proxy.example:3128";', 'Acquire::Languages:: "none";', 'Acquire::Check-Date "false";']);
});

test('no text makes the parsers throw', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('d', 'e', 'b', ' ', '\n', ':', '[', ']', '=', 'Types: deb\n', 'URIs: x\n', '#'), maxLength: 60 }),
      (text) => void [parseOneLine(text), parseStanzas(text)],
    ),
  );
});
