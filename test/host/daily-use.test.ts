/** What a person does with a machine all day, on the real kernel: the parts that fakes have wrong most easily. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
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

  test('programs that ask how many CPUs there are get the ceiling, rounded up', { skip: cpus().length < 2 }, async () => {
    const ways = ['nproc', 'getconf _NPROCESSORS_ONLN', 'grep -c ^processor /proc/cpuinfo', 'cat /sys/devices/system/cpu/online'];
    const counts = (): Promise<string> => instance.must('exec', 'box', '--', 'sh', '-c', ways.join('; '));
    const host = String(cpus().length);
    assert.deepEqual((await counts()).trim().split('\n'), [host, host, host, `0-${cpus().length - 1}`], 'without one, all of the host');
    await instance.must('resize', 'box', '--cpu-ceiling', '0.5');
    assert.deepEqual((await counts()).trim().split('\n'), ['1', '1', '1', '0']);
    await instance.must('update', 'box', '--env', 'OMP_THREAD_LIMIT=2');
    assert.equal((await instance.must('exec', 'box', '--', 'printenv', 'OMP_THREAD_LIMIT')).trim(), '2', "the person's word counts more");
    await instance.must('update', 'box', '--env-remove', 'OMP_THREAD_LIMIT');
    await instance.must('resize', 'box', '--cpu-ceiling', 'none');
    assert.equal((await instance.must('exec', 'box', '--', 'nproc')).trim(), host);
  });

  test('programs are told what their machine is guaranteed', async () => {
    await instance.must('resize', 'box', '--cpu', '0.03', '--memory', '24M');
    const told = (): Promise<string> => instance.must('exec', 'box', '--', 'printenv', 'CENOTE_CPU_GUARANTEE', 'CENOTE_MEMORY_GUARANTEE_MIB');
    assert.equal(await told(), '0.03\n24\n');
    await instance.must('reboot', 'box');
    assert.match(await instance.must('exec', 'box', '--', 'cat', '/proc/1/environ'), /\0CENOTE_CPU_GUARANTEE=0\.03\0CENOTE_MEMORY_GUARANTEE_MIB=24\0/);
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
