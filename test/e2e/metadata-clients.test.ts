/**
 * Clients of SmartOS's metadata that are not ours, unmodified, inside a machine: cloud-init's from Debian's archive, over the socket and the
 * serial line, and mdata-client, which is in no Debian archive, where its programs are: in /usr/sbin, or CENOTE_TEST_MDATA_CLIENT. Needs root.
 */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { run } from '../../src/exec/run.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { eventually } from '../support/control-fixture.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

/** cloud-init, and what of other packages its client loads. */
const packages = [
  'cloud-init',
  ...['serial', 'requests', 'urllib3', 'chardet', 'certifi', 'idna', 'configobj', 'six', 'yaml'].map((name) => `python3-${name}`),
];
const mdataPrograms = ['mdata-get', 'mdata-put', 'mdata-list', 'mdata-delete'];
const mdataDirectory = process.env['CENOTE_TEST_MDATA_CLIENT'] ?? '/usr/sbin';
const python = '/usr/bin/python3';

/** Unpacked, never installed: cloud-init would take the host for its own at the next boot. Null where apt has it not. */
const fetchCloudInit = async (): Promise<string | null> => {
  const directory = mkdtempSync(join(tmpdir(), 'cloud-init-'));
  try {
    await run('apt-get', ['download', '-q', ...packages], { cwd: directory, timeoutMs: 120_000 });
  } catch {
    rmSync(directory, { recursive: true });
    return null;
  }
  for (const archive of readdirSync(directory)) await run('dpkg-deb', ['-x', join(directory, archive), directory]);
  return directory;
};

const mdata = mdataPrograms.map((name) => join(mdataDirectory, name)).filter((path) => existsSync(path));
const cloudInit = skipInstance === false && existsSync(python) ? await fetchCloudInit() : null;
const skipCloudInit = skipInstance || (cloudInit === null ? `needs ${python}, and cloud-init of Debian's archive` : false);
const skipMdata = skipInstance || (mdata.length < mdataPrograms.length ? `needs ${mdataPrograms.join(', ')} in ${mdataDirectory}` : false);

describe('clients of metadata that are not ours', { skip: skipCloudInit && skipMdata }, () => {
  let cenote: TestInstance;
  let web: Machine;
  before(async () => {
    cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
    const code = join(cenote.directory, 'code');
    mkdirSync(code);
    for (const path of mdata) copyFileSync(path, join(code, basename(path)));
    if (cloudInit !== null) {
      cpSync(join(cloudInit, 'usr/lib/python3/dist-packages'), join(code, 'python'), { recursive: true });
      copyFileSync(resolve(import.meta.dirname, '../support/cloud-init-client.py'), join(code, 'client.py'));
    }
    const config = join(cenote.directory, 'config.json');
    writeFileSync(config, JSON.stringify({ Cmd: ['sleep', '100000'], Labels: { 'cenote.serial-line': 'true' } }));
    await cenote.must('image', 'create', 'clients', '--from', code, '--config', config);
    const metadata = ['--metadata', 'motd=hello\nworld', '--metadata', 'root_pw=secret', '--metadata', 'dots=.\n..\nend', '--metadata', 'empty='];
    await cenote.must('create', 'web', '--image', 'clients', '--memory', '96M', '--disk', '128M', ...metadata);
    web = await cenote.json<Machine>('get', 'web');
    // The line is made beside the program's start.
    await cenote.until('web', ['test', '-e', '/dev/ttyS1']);
  });
  after(async () => {
    if (cloudInit !== null) rmSync(cloudInit, { recursive: true });
    await cenote?.[Symbol.asyncDispose]();
  });

  const inside = async (...command: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
    const { code, stdout, stderr } = await cenote.cenote('exec', 'web', '--', ...command);
    return { code, stdout, stderr };
  };
  const seenOutside = (name: string, expected: string | undefined) =>
    eventually(
      () => cenote.json<Record<string, string>>('metadata', 'ls', 'web'),
      (metadata) => metadata[name] === expected,
    );

  for (const transport of ['socket', 'serial'])
    it(`cloud-init's, over the ${transport}`, { skip: skipCloudInit }, async () => {
      const client = async (...words: string[]): Promise<string> => {
        const { code, stdout, stderr } = await inside('env', 'PYTHONPATH=/app/python', python, '/app/client.py', transport, ...words);
        assert.equal(code, 0, `${words.join(' ')}: ${stderr}`);
        return stdout.replace(/\n$/, '');
      };
      assert.equal(await client('get', 'motd'), 'hello\nworld');
      assert.equal(await client('get', 'root_pw'), 'secret');
      assert.equal(await client('get', 'none'), 'None');
      assert.equal(await client('get', 'sdc:uuid'), web.id);
      assert.equal(await client('get', 'sdc:hostname'), 'web');
      assert.deepEqual((await client('list')).split('\n').toSorted(), ['dots', 'empty', 'motd']);
      await client('put', 'result', 'ünïcode\n.\n');
      assert.equal(await client('get', 'result'), 'ünïcode\n.\n');
      await seenOutside('result', 'ünïcode\n.\n');
      assert.equal(await client('put', 'sdc:uuid', 'x'), 'None');
      assert.equal(await client('get', 'sdc:uuid'), web.id);
      await client('delete', 'result');
      assert.equal(await client('get', 'result'), 'None');
      await seenOutside('result', undefined);
      assert.match(await client('network'), new RegExp(web.address.replaceAll('.', String.raw`\.`)));
    });

  it('mdata-client', { skip: skipMdata }, async () => {
    const client = async (name: string, ...words: string[]): Promise<[code: number | null, said: string]> => {
      const { code, stdout, stderr } = await inside(`/app/mdata-${name}`, ...words);
      return [code, stdout + stderr];
    };
    assert.deepEqual(await client('get', 'motd'), [0, 'hello\nworld\n']);
    assert.deepEqual(await client('get', 'dots'), [0, '.\n..\nend\n']);
    assert.deepEqual(await client('get', 'empty'), [0, '\n']);
    assert.deepEqual(await client('get', 'root_pw'), [0, 'secret\n']);
    assert.deepEqual(await client('get', 'none'), [1, "No metadata for 'none'\n"]);
    assert.deepEqual(await client('get', 'sdc:uuid'), [0, `${web.id}\n`]);
    assert.equal(JSON.parse((await client('get', 'sdc:nics'))[1])[0].ip, web.address);
    assert.deepEqual((await client('list'))[1].trim().split('\n').toSorted(), ['dots', 'empty', 'motd']);
    assert.deepEqual(await client('put', 'result', 'ünïcode'), [0, '']);
    assert.deepEqual(await client('get', 'result'), [0, 'ünïcode\n']);
    await seenOutside('result', 'ünïcode');
    assert.deepEqual(await client('put', 'sdc:uuid', 'x'), [2, "Error putting metadata for key 'sdc:uuid': sdc: keys are read-only\n"]);
    assert.deepEqual(await client('delete', 'result'), [0, '']);
    assert.equal((await client('get', 'result'))[0], 1);
    await seenOutside('result', undefined);
    const { code } = await inside(
      'sh',
      '-c',
      'head -c 90000 /dev/urandom | base64 -w0 > /root/long; /app/mdata-put long < /root/long; /app/mdata-get long | tr -d "\\n" | cmp - /root/long',
    );
    assert.equal(code, 0, 'what is long comes back as it went');
    // Side by side they take turns on the line.
    const turns = await Promise.all(Array.from({ length: 4 }, () => client('get', 'motd')));
    assert.deepEqual(new Set(turns.map(([, said]) => said)), new Set(['hello\nworld\n']));
  });
});
