/** What a person does with a machine all day, on the real kernel: the parts that fakes have wrong most easily. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import { launcher, skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

describe('in daily use', { skip: skipInstance, timeout: 300_000 }, () => {
  let instance: TestInstance;
  before(async () => {
    instance = await startInstance({ poolSizeMib: 1024, memoryMib: 512 });
    await instance.must('create', 'box', '--disk', '128M');
  });
  after(async () => assert.deepEqual(await instance.destroy(), []));

  test('exec gives the status of a shell for what could not be run, and the reason once', async () => {
    const tried = async (...words: string[]): Promise<[number, string]> => {
      const { code, stdout, stderr } = await instance.cenote('exec', ...words);
      assert.equal(stdout, '');
      return [code!, stderr];
    };
    for (const flags of [[], ['-t']]) {
      assert.deepEqual(await tried(...flags, 'box', '--', 'nothing'), [127, 'cenote: there is no program nothing in the machine\n']);
      assert.deepEqual(await tried(...flags, 'box', '--', '/etc/passwd'), [126, 'cenote: /etc/passwd cannot be run: open executable: Permission denied\n']);
      assert.deepEqual(await tried(...flags, '-w', '/nowhere', 'box', '--', 'ls'), [
        126,
        'cenote: ls cannot be run: chdir `/nowhere`: No such file or directory\n',
      ]);
    }
    assert.deepEqual(await tried('-u', 'nobody-here', 'box', '--', 'ls'), [126, 'cenote: there is no user nobody-here in the machine\n']);
    assert.deepEqual(await tried('box', '--', 'sh', '-c', 'echo mine >&2; exit 255'), [255, 'mine\n']);
    assert.deepEqual(await tried('box', '--', 'sh', '-c', 'kill -9 $$'), [137, '']);
  });

  test('exec takes a file as its input', async () => {
    const file = join(instance.directory, 'input');
    writeFileSync(file, 'line\n'.repeat(200_000));
    const { code, stdout, stderr } = await runAny('/bin/sh', ['-c', '"$0" --root "$1" exec -i box -- wc -l < "$2"', launcher, instance.root, file], {
      env: { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath },
    });
    assert.deepEqual([code, stderr, stdout], [0, '', '200000\n']);
  });
});
