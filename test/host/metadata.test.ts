/** Metadata as a machine sees it: read and written from inside by a client of the protocol's text, changed from outside while it runs. Needs root. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import type { Machine } from '../../src/model/control-api.ts';
import type { Event } from '../../src/model/event.ts';
import { eventually } from '../support/control-fixture.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

const client = resolve(import.meta.dirname, '../support/mdata-client.mjs');
const small = ['--image', 'node', '--memory', '48M', '--memory-ceiling', '128M', '--disk', '64M'];

/** A machine that does nothing, with the client in /app. */
const withClient = async (cenote: TestInstance, name: string, ...flags: string[]): Promise<Machine> => {
  const code = join(cenote.directory, 'code');
  mkdirSync(code, { recursive: true });
  copyFileSync(client, join(code, 'mdata.mjs'));
  await cenote.must('create', name, ...small, '--code', code, ...flags, '--', 'sleep', '100000');
  return cenote.json<Machine>('get', name);
};

const mdata = async (cenote: TestInstance, name: string, ...words: string[]): Promise<[code: number | null, said: string]> => {
  const { code, stdout, stderr } = await cenote.cenote('exec', name, '--', 'node', '/app/mdata.mjs', ...words);
  return [code, (stdout + stderr).replace(/\n$/, '')];
};

describe('metadata inside a machine', { skip: skipInstance }, () => {
  it('is read, written and deleted there, and seen outside; and the other way round', async () => {
    await using cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
    const script = join(cenote.directory, 'script');
    writeFileSync(script, '#!/bin/sh\nid -u > /root/was-here\necho said\n');
    const web = await withClient(cenote, 'web', '--metadata', 'motd=hello\nworld', '--metadata', 'root_pw=secret', '--script', script, '--tag', 'a=b');
    const inside = (...words: string[]) => mdata(cenote, 'web', ...words);

    assert.deepEqual(await inside('get', 'motd'), [0, 'hello\nworld']);
    assert.deepEqual(await inside('--v1', 'get', 'motd'), [0, 'hello\nworld']);
    assert.deepEqual(await inside('get', 'none'), [1, '']);
    assert.deepEqual(await inside('get', 'sdc:uuid'), [0, web.id]);
    assert.deepEqual(await inside('get', 'sdc:alias'), [0, 'web']);
    assert.equal(JSON.parse((await inside('get', 'sdc:nics'))[1])[0].ip, web.address);
    assert.deepEqual(JSON.parse((await inside('get', 'sdc:tags'))[1]), { a: 'b' });
    assert.deepEqual(await inside('list'), [0, 'motd\nuser-script'], 'no passwords');
    assert.deepEqual(await inside('get', 'root_pw'), [0, 'secret']);
    await cenote.until('web', ['grep', 'said', '/var/svc/mdata-user-script.log']);
    assert.equal(await cenote.must('exec', 'web', '--', 'cat', '/root/was-here', '/var/svc/mdata-user-script.log'), '0\nsaid\n');

    for (const [key, value] of [
      ['sdc:uuid', 'x'],
      ['root_pw', 'x'],
      ['no spaces', 'x'],
      ['big', 'x'.repeat(100_000)],
    ] as const) {
      const [code] = await inside('put', key, value);
      assert.equal(code, key === 'big' ? 0 : 2, key);
    }
    assert.deepEqual(await inside('put', 'result', 'ünïcode\n'), [0, '']);
    assert.deepEqual(await inside('delete', 'big'), [0, '']);
    assert.deepEqual(await inside('delete', 'sdc:uuid'), [2, 'sdc: keys are read-only']);
    const seen = await eventually(
      () => cenote.json<Record<string, string>>('metadata', 'ls', 'web'),
      (metadata) => metadata['result'] !== undefined && metadata['big'] === undefined,
    );
    assert.equal(seen['result'], 'ünïcode\n');
    const events = (await cenote.must('events', '--json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Event);
    assert.ok(events.some(({ type, detail }) => type === 'machine.metadata' && detail['key'] === 'result'));
    assert.deepEqual(events.findLast(({ type }) => type === 'machine.script')?.detail, { code: 0 });

    await cenote.must('metadata', 'set', 'web', 'motd=changed', 'more=yes');
    assert.deepEqual(await inside('get', 'motd'), [0, 'changed']);
    // A change of something else, and one of other keys, leave what the machine has put.
    await cenote.must('update', 'web', '--tag', 'c=d');
    assert.equal(await cenote.must('metadata', 'get', 'web', 'result'), 'ünïcode\n');
    await cenote.must('metadata', 'delete', 'web', 'more');
    assert.deepEqual(await inside('get', 'more'), [1, '']);
    assert.match(await cenote.refused('metadata', 'get', 'web', 'more'), /web has no metadata "more"/);
    await cenote.must('reboot', 'web');
    assert.deepEqual(await inside('get', 'result'), [0, 'ünïcode\n']);
  });

  it('is on /dev/ttyS1 too, where the image asks for it: after the agent was killed, and beside who has left in the middle', async (context) => {
    await using cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
    await withClient(cenote, 'plain');
    const config = join(cenote.directory, 'config.json');
    writeFileSync(config, JSON.stringify({ Labels: { 'cenote.serial-line': 'true' } }));
    await cenote.must('image', 'create', 'serial', '--from-machine', 'plain', '--config', config);
    const script = join(cenote.directory, 'script');
    // It finds the line already there.
    writeFileSync(script, '#!/bin/sh\nnode /app/mdata.mjs --serial get motd > /root/found\n');
    await cenote.must('create', 'web', ...small.slice(2), '--image', 'serial', '--metadata', 'motd=hello\nworld', '--script', script);
    await cenote.until('web', ['test', '-s', '/root/found']);
    assert.equal(await cenote.must('exec', 'web', '--', 'cat', '/root/found'), 'hello\nworld\n');
    const inside = (...words: string[]) => mdata(cenote, 'web', '--serial', ...words);
    assert.deepEqual(await inside('--v1', 'get', 'motd'), [0, 'hello\nworld']);
    assert.deepEqual(await inside('get', 'none'), [1, '']);
    const long = 'x'.repeat(100_000);
    assert.deepEqual(await inside('put', 'long', long), [0, '']);
    assert.deepEqual(await inside('get', 'long'), [0, long]);
    assert.deepEqual(await inside('list'), [0, 'motd\nuser-script\nlong']);

    // One asks for much and reads nothing of it: the next is not told what was meant for that one.
    await cenote.must('exec', 'web', '--', 'sh', '-c', 'echo "GET long" > /dev/ttyS1; sleep 4');
    assert.deepEqual(await inside('get', 'motd'), [0, 'hello\nworld']);

    const pid = JSON.parse(readFileSync(join(cenote.root, 'run/agent.pid'), 'utf8')) as { pid: number };
    process.kill(pid.pid, 'SIGKILL');
    assert.deepEqual(
      await eventually(
        () => mdata(cenote, 'web', '--serial', 'get', 'motd'),
        ([code]) => code === 0,
        60_000,
      ),
      [0, 'hello\nworld'],
    );
    const memory = await cenote.must(
      'exec',
      'web',
      '--',
      'sh',
      '-c',
      'for p in /proc/[0-9]*; do grep -qa ttyS1 $p/cmdline && grep ^Pss: $p/smaps_rollup; done',
    );
    context.diagnostic(`the line's program: ${memory.trim()}`);
    // Clients take turns on a line; this one does not, and so waits for the script's.
    await cenote.must('exec', 'web', '--', 'rm', '/root/found');
    await cenote.must('reboot', 'web');
    await cenote.until('web', ['test', '-s', '/root/found']);
    assert.deepEqual(await inside('get', 'motd'), [0, 'hello\nworld']);
    assert.equal((await cenote.cenote('exec', 'plain', '--', 'test', '-e', '/dev/ttyS1')).code, 1);
  });

  it('a machine that misuses it disturbs nobody: floods, endless lines, many connections', async (context) => {
    await using cenote = await startInstance({ poolSizeMib: 1024, memoryMib: 1024 });
    await withClient(cenote, 'good', '--metadata', 'k=v');
    await withClient(cenote, 'bad');
    const flood = `
      const net = require('node:net');
      const open = () => {
        const socket = net.createConnection('/.zonecontrol/metadata.sock');
        socket.on('error', () => {});
        socket.on('close', () => setImmediate(open));
        socket.on('connect', () => {
          const kind = Math.floor(Math.random() * 4);
          if (kind === 0) socket.write('GET k\\n'.repeat(10000));
          if (kind === 1) socket.write(Buffer.alloc(2000000, 97));
          if (kind === 2) socket.write(require('node:crypto').randomBytes(5000));
          if (kind === 3) socket.pause(), socket.write('GET sdc:nics\\n'.repeat(10000));
        });
      };
      for (let count = 0; count < 50; count += 1) open();
    `;
    await cenote.must(
      'exec',
      'bad',
      '--',
      'sh',
      '-c',
      `echo '${Buffer.from(flood).toString('base64')}' | base64 -d > /tmp/flood.cjs; (node /tmp/flood.cjs >/dev/null 2>&1 &)`,
    );
    const slowest = { ask: 0, list: 0 };
    for (let round = 0; round < 10; round += 1) {
      const begun = performance.now();
      assert.deepEqual(await mdata(cenote, 'good', 'get', 'k'), [0, 'v']);
      slowest.ask = Math.max(slowest.ask, performance.now() - begun);
      const listed = performance.now();
      await cenote.must('ls');
      slowest.list = Math.max(slowest.list, performance.now() - listed);
      await sleep(100);
    }
    context.diagnostic(`while another floods: ask ${Math.round(slowest.ask)} ms, list ${Math.round(slowest.list)} ms, at most`);
    await cenote.must('delete', 'bad');
    assert.deepEqual(await mdata(cenote, 'good', 'get', 'k'), [0, 'v']);
  });
});
