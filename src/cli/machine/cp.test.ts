import assert from 'node:assert/strict';
import { chmod, lstat, mkdir, mkdtemp, readFile, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { pack as tarPack } from 'tar-stream';
import type { Header } from 'tar-stream';
import { CenoteError } from '../../base/errors.ts';
import { packFiles, sourceOf } from '../archive/pack.ts';
import { safeParts, unpackFiles } from '../archive/unpack.ts';
import { parseRemote } from './cp.ts';

const { signal } = new AbortController();

const archiveOf = (entries: readonly (Partial<Header> & { name: string; content?: string })[]): Readable => {
  const archive = tarPack();
  for (const { content, ...header } of entries) archive.entry(header, content ?? '');
  archive.finalize();
  return Readable.from(archive as AsyncIterable<Buffer>, { objectMode: false });
};

const packOf = (stream: Readable): Promise<Buffer[]> => stream.toArray();

describe('copies', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cenote-cp-'));
    await mkdir(join(directory, 'out'));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const unpack = (stream: Readable, rename?: string) => unpackFiles(stream, { directory: join(directory, 'out'), rename }, { signal });

  it('come back as they went', async () => {
    const from = join(directory, 'tree');
    await mkdir(join(from, 'deep', 'er'), { recursive: true });
    await writeFile(join(from, 'big'), Buffer.alloc(700_001, 'x'));
    await writeFile(join(from, 'deep', 'er', `${'long-'.repeat(40)}name`), 'deep');
    await writeFile(join(from, 'run'), '#!/bin/sh\n');
    await chmod(join(from, 'run'), 0o755);
    await symlink('deep/er', join(from, 'link'));
    await mkdir(join(from, 'empty'));
    let sent = 0;
    await unpack(packFiles([await sourceOf(from)], { signal, onBytes: (total) => (sent = total) }));
    assert.equal(sent, 700_001 + 4 + 10);
    const to = join(directory, 'out', 'tree');
    assert.deepEqual((await readdir(to)).toSorted(), ['big', 'deep', 'empty', 'link', 'run']);
    assert.equal((await readFile(join(to, 'big'))).length, 700_001);
    assert.equal((await lstat(join(to, 'run'))).mode & 0o777, 0o755);
    assert((await lstat(join(to, 'link'))).isSymbolicLink());
    assert.equal((await readdir(join(to, 'link')))[0], `${'long-'.repeat(40)}name`);
  });

  it('keep odd names, deep paths and many small files', async () => {
    const from = join(directory, 'tree');
    const odd = ['a\nb', '\x01\x1b[31m', ' leading', 'trailing ', '-rf', '*?[x]', 'ü\u{1F9ED}', 'quote"\\\'', 'n'.repeat(255)];
    const deep = Array.from({ length: 15 }, (_, level) => `${level}`.padEnd(200, 'd')).join('/');
    await mkdir(join(from, 'many'), { recursive: true });
    await mkdir(join(from, deep), { recursive: true });
    await writeFile(join(from, deep, 'bottom'), 'here');
    for (const name of odd) await writeFile(join(from, name), name);
    for (let index = 0; index < 3000; index++) await writeFile(join(from, 'many', `${index}`), index % 3 === 0 ? '' : `${index}`);
    await unpack(packFiles([await sourceOf(from)], { signal }));
    const to = join(directory, 'out', 'tree');
    for (const name of odd) assert.equal(await readFile(join(to, name), 'utf8'), name);
    assert.equal(await readFile(join(to, deep, 'bottom'), 'utf8'), 'here');
    assert.equal((await readdir(join(to, 'many'))).length, 3000);
    assert.equal(await readFile(join(to, 'many', '2999'), 'utf8'), '2999');
  });

  it('refuse a name that is no text, both ways', async () => {
    const from = join(directory, 'tree');
    const named = Buffer.concat([Buffer.from(`${from}/`), Buffer.from([0x61, 0xff])]);
    await mkdir(from);
    await writeFile(named, 'x');
    await assert.rejects(unpack(packFiles([await sourceOf(from)], { signal })), /cannot copy "aÿ": its name in .*tree is not UTF-8/);
    await rm(named);
    await symlink(Buffer.from([0xfe]), join(from, 'link'));
    await assert.rejects(unpack(packFiles([await sourceOf(from)], { signal })), /what the link .*link points at is not UTF-8/);
    await assert.rejects(unpack(archiveOf([{ name: 'a\ufffd', content: 'x' }])), /its name in the machine is not UTF-8/);
  });

  it('of `DIR/.` are its contents, of a file only it, under another name if wanted', async () => {
    await mkdir(join(directory, 'tree'));
    await writeFile(join(directory, 'tree', 'file'), 'one');
    await unpack(packFiles([await sourceOf(`${directory}/tree/.`)], { signal }));
    await unpack(packFiles([await sourceOf(`${directory}/tree/file`)], { signal }), 'other');
    await unpack(packFiles([await sourceOf(`${directory}/tree`)], { signal }), 'renamed');
    assert.deepEqual((await readdir(join(directory, 'out'))).toSorted(), ['file', 'other', 'renamed']);
    assert.deepEqual(await readdir(join(directory, 'out', 'renamed')), ['file']);
  });

  it('of a link that was named are what it points at', async () => {
    await writeFile(join(directory, 'file'), 'one');
    await symlink('file', join(directory, 'link'));
    await unpack(packFiles([await sourceOf(join(directory, 'link'))], { signal }));
    assert.equal(await readFile(join(directory, 'out', 'link'), 'utf8'), 'one');
    assert((await lstat(join(directory, 'out', 'link'))).isFile());
  });

  it('of a large file to a slow reader make no noise', async () => {
    const warnings: Error[] = [];
    const heard = (warning: Error): void => void warnings.push(warning);
    process.on('warning', heard);
    try {
      await writeFile(join(directory, 'large'), '');
      await truncate(join(directory, 'large'), 16 * 1024 * 1024);
      for await (const _chunk of packFiles([await sourceOf(join(directory, 'large'))], { signal })) await setImmediate();
    } finally {
      process.off('warning', heard);
    }
    assert.deepEqual(warnings, []);
  });

  it('that break off on their way are an error', async () => {
    const whole = Buffer.concat(await packOf(archiveOf([{ name: 'file', content: 'x'.repeat(10_000) }])));
    const broken = new PassThrough();
    broken.write(whole.subarray(0, 4000));
    broken.destroy(new Error('cut'));
    await assert.rejects(unpack(broken), /the copy broke off: cut/);
    await assert.rejects(unpack(Readable.from([whole.subarray(0, 4000)], { objectMode: false })), /the copy broke off: Unexpected end of data/);
  });

  it('never leave the target, whatever a machine sends', async () => {
    await mkdir(join(directory, 'secret'));
    const outside = join(directory, 'secret');
    const wrong: Parameters<typeof archiveOf>[0][] = [
      [{ name: '../secret/x', content: 'x' }],
      [{ name: '/etc/x', content: 'x' }],
      [{ name: 'a/../../secret/x', content: 'x' }],
      [
        { name: 'to', type: 'symlink', linkname: outside },
        { name: 'to/x', content: 'x' },
      ],
      [
        { name: 'to', type: 'symlink', linkname: '../secret' },
        { name: 'to/y/x', content: 'x' },
      ],
      [
        { name: 'to', type: 'symlink', linkname: outside },
        { name: 'to', type: 'directory' },
        { name: 'to/x', content: 'x' },
      ],
      [{ name: 'hard', type: 'link', linkname: '../secret/y' }],
      [{ name: 'hard', type: 'link', linkname: '/etc/passwd' }],
      [
        { name: 's', type: 'symlink', linkname: '/etc/passwd' },
        { name: 'hard', type: 'link', linkname: 's' },
      ],
    ];
    for (const entries of wrong) {
      await assert.rejects(unpack(archiveOf(entries)), CenoteError, JSON.stringify(entries));
      assert.deepEqual(await readdir(outside), [], JSON.stringify(entries));
      await rm(join(directory, 'out'), { recursive: true });
      await mkdir(join(directory, 'out'));
    }
    await assert.rejects(
      unpack(
        archiveOf([
          { name: 'asked', type: 'directory' },
          { name: 'other/x', content: 'x' },
        ]),
        'mine',
      ),
      /not beneath/,
    );
  });

  it('replace a link in the target and do not write through it, drop set-uid bits and skip devices', async () => {
    await writeFile(join(directory, 'secret'), 'before');
    await symlink('../secret', join(directory, 'out', 'file'));
    const skipped: string[] = [];
    const stream = archiveOf([
      { name: 'file', content: 'after', mode: 0o4755 },
      { name: 'null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: 'pipe', type: 'fifo' },
    ]);
    await unpackFiles(stream, { directory: join(directory, 'out') }, { signal, onSkipped: (name) => skipped.push(name) });
    assert.equal(await readFile(join(directory, 'secret'), 'utf8'), 'before');
    assert.equal((await lstat(join(directory, 'out', 'file'))).mode & 0o7777, 0o755);
    assert.deepEqual(skipped, ['null', 'pipe']);
    assert.deepEqual(await readdir(join(directory, 'out')), ['file']);
  });

  it('fill a directory that may not be written', async () => {
    await unpack(
      archiveOf([
        { name: 'd', type: 'directory', mode: 0o555 },
        { name: 'd/file', content: 'x' },
      ]),
    );
    assert.equal((await lstat(join(directory, 'out', 'd'))).mode & 0o777, 0o555);
  });

  it('say when the stream is no archive', async () => {
    await assert.rejects(unpack(Readable.from([Buffer.alloc(2048, 'x')])));
  });

  it('have safe names or none', () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        try {
          assert(safeParts(name).every((part) => part !== '..' && part !== '' && !part.includes('/') && !part.includes('\0')));
        } catch (error) {
          assert(error instanceof CenoteError);
        }
      }),
    );
  });
});

describe('a place in a machine', () => {
  it('is NAME:/path', () => {
    assert.deepEqual(parseRemote('web:/a/b'), { machine: 'web', path: '/a/b' });
    for (const local of ['file', './web:/x', '/a:b', 'a/b:/c', ':/x']) assert.equal(parseRemote(local), undefined);
    for (const wrong of ['web:', 'web:a', 'web:/../x']) assert.throws(() => parseRemote(wrong), CenoteError);
  });
});
