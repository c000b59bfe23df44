/** `exec` through the launcher: bytes both ways, exit codes, and a real terminal. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import { channels } from '../../src/cli/machine/exec-session.ts';
import { execChannel } from '../../src/model/agent-api.ts';
import { terminalScript } from '../support/terminal-script.ts';
import { cliFixture, launcher } from '../support/cli-fixture.ts';
import type { CliFixture } from '../support/cli-fixture.ts';
import { eventually } from '../support/control-fixture.ts';

describe('exec on the command line', () => {
  let cli: CliFixture;
  before(async () => {
    cli = await cliFixture();
    const created = await cli.cenote('create', 'web');
    assert.equal(created.code, 0, created.stderr);
  });
  after(() => cli[Symbol.asyncDispose]());

  it('speaks the channels of the API', () => {
    assert.deepEqual(channels, execChannel);
  });

  it('gives output, errors and the exit code back', async () => {
    assert.equal((await cli.cenote('exec', 'web', '--', 'echo', 'a', '--json')).stdout, 'a --json\n');
    assert.equal((await cli.cenote('exec', 'web', 'echo', '-n', 'b')).stdout, '-n b\n', 'without dashes');
    const told = await cli.cenote('exec', '--json', 'web', '--', 'exit', '3');
    assert.deepEqual([told.code, told.stdout.trim().split('\n').at(-1)], [3, '{"exitCode":3}']);
    assert.match((await cli.cenote('exec', '--json', 'web', '--', 'echo', 'ä')).stdout, /^\{"stream":"stdout","text":"ä\\n"\}\n\{"exitCode":0\}\n$/);
    assert.match((await cli.cenote('exec', '--json', '-t', 'web', '--', 'echo')).stderr, /not told in JSON/);
    const wrong = await cli.cenote('exec', 'web', '--', 'error', 'no');
    assert.deepEqual([wrong.stdout, wrong.stderr, wrong.code], ['', 'no\n', 0]);
    assert.equal((await cli.cenote('exec', 'web', '--', 'exit', '42')).code, 42);
    const missing = await cli.cenote('exec', 'web', '--', 'missing');
    assert.deepEqual([missing.code, missing.stderr], [127, 'cenote: missing: there is no such program\n']);
  });

  it('tells the command where and as whom to run', async () => {
    await cli.cenote('exec', '-u', 'app', '-w', '/srv', '-e', 'A=1', 'web', '--', 'exit', '0');
    assert.deepEqual(cli.front.execs.at(-1), { command: ['exit', '0'], tty: false, stdin: false, env: { A: '1' }, user: 'app', workingDirectory: '/srv' });
  });

  it('passes input on, however much', async () => {
    const input = Buffer.alloc(5_000_000);
    for (let at = 0; at < input.length; at += 1) input[at] = at % 251;
    const result = await cli.cenoteWith({ input: 'x\n' }, 'exec', '-i', 'web', '--', 'cat');
    assert.deepEqual([result.stdout, result.code], ['x\n', 0]);
    const digest = await runAny('/bin/sh', ['-c', '"$0" --root "$1" exec -i web -- cat | cksum', launcher, cli.root], {
      input,
      env: { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath },
      timeoutMs: 60_000,
    });
    const expected = await runAny('/usr/bin/cksum', [], { input });
    assert.equal(digest.stdout, expected.stdout, digest.stderr);
  });

  it('takes a file as input', async () => {
    const result = await runAny('/bin/sh', ['-c', '"$0" --root "$1" exec -i web -- cat < "$0"', launcher, cli.root], {
      env: { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath },
    });
    assert.deepEqual([result.code, result.stderr], [0, '']);
    assert.equal(result.stdout, await readFile(launcher, 'utf8'));
  });

  it('ends with the command although input is still open', async () => {
    const running = cli.start('exec', '-i', 'web', '--', 'exit', '5');
    assert.equal(await running.ended, 5);
  });

  it('ends with Ctrl-C, and the command with it', async () => {
    const running = cli.start('exec', 'web', '--', 'hang');
    const before = cli.front.execs.length;
    await eventually(
      () => cli.front.execs.length,
      (count) => count > before - 1 && cli.front.execs.at(-1)?.command[0] === 'hang',
    );
    process.kill(running.pid, 'SIGINT');
    assert.equal(await running.ended, 130);
  });

  it('refuses what cannot be', async () => {
    const missing = await cli.cenote('exec', 'web');
    assert.deepEqual([missing.code, missing.stderr], [2, 'cenote: COMMAND is missing\nwrite it after --, such as: cenote exec web -- ls\n']);
    assert.equal((await cli.cenote('exec', 'none', '--', 'ls')).code, 4);
    const terminal = await cli.cenoteWith({ input: '' }, 'exec', '-it', 'web', '--', 'ls');
    assert.deepEqual([terminal.code, terminal.stderr.split('\n')[0]], [2, 'cenote: --tty: our standard input is not a terminal']);
  });

  it('colours states on a terminal only, and not where NO_COLOR is set', async (test) => {
    const python = await runAny('python3', ['-c', 'import pty'], { env: { PATH: process.env['PATH']! } }).catch(() => undefined);
    if (python?.code !== 0) return test.skip('python3 is not here to make a pseudo-terminal');
    const env = { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath, TERM: 'xterm' };
    const words = ['-c', 'import pty, sys; pty.spawn(sys.argv[1:])', launcher, '--root', cli.root, 'ls', '-Ho', 'state'];
    assert.equal((await runAny('python3', words, { env })).stdout.trim(), '\u001b[32mrunning\u001b[0m');
    assert.equal((await runAny('python3', words, { env: { ...env, NO_COLOR: '1' } })).stdout.trim(), 'running');
    assert.equal((await cli.cenote('ls', '-Ho', 'state')).stdout, 'running\n');
  });

  it('gives a real terminal with -it: keys as they are typed, window size, and ours as it was afterwards', async (test) => {
    const python = await runAny('python3', ['-c', 'import os; os.waitstatus_to_exitcode'], { env: { PATH: process.env['PATH']! } }).catch(() => undefined);
    if (python?.code !== 0) return test.skip('python3 (3.9 or later) is not here to make a pseudo-terminal');
    const env = { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath, TERM: 'xterm-256color' };
    const result = await runAny('python3', ['-c', terminalScript, cli.root, launcher, '--root', cli.root, 'exec', '-it', 'web', '--', 'size'], {
      env,
      timeoutMs: 60_000,
    });
    assert.equal(result.stdout, 'exit 3 raw True restored True\n', result.stderr);
    assert.deepEqual(cli.front.execs.at(-1)?.env, { TERM: 'xterm-256color' });
  });
});
