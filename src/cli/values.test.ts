import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CenoteError } from '../base/errors.ts';
import { defaultRoot, instancePaths } from '../model/instance.ts';
import { machineStates } from '../model/machine.ts';
import { compileConfig } from './config.ts';
import { formatAge, formatDuration, parseSeconds, quoteWords } from './format.ts';
import { globExpression, pickMany, pickOne, wantYes } from './select.ts';
import { closest } from './suggest.ts';
import {
  formatPublish,
  formatRestart,
  machineStateNames,
  pairsToRecord,
  parseListen,
  parseEnv,
  parseEnvFile,
  parsePublish,
  parseRestart,
  parseSnapshotRef,
  parseStates,
} from './values.ts';

describe('values of flags', () => {
  it('are ports', () => {
    assert.deepEqual(parsePublish('-p', '8080:80'), { hostPort: 8080, machinePort: 80, protocol: 'tcp' });
    assert.deepEqual(parsePublish('-p', '53/udp'), { hostPort: 53, machinePort: 53, protocol: 'udp' });
    assert.equal(formatPublish(parsePublish('-p', '53:5353/udp')), '53:5353/udp');
    for (const wrong of ['', 'a:b', '0:80', '80:65536', '80:80/sctp', '127.0.0.1:80:80', '80:', ':80', '80:80/tcp/udp', '8e1:80'])
      assert.throws(() => parsePublish('--publish', wrong), /--publish/);
  });

  it('are restart policies', () => {
    assert.deepEqual(parseRestart('-r', 'on-failure:3'), { policy: 'on-failure', maxRetries: 3 });
    assert.equal(formatRestart(parseRestart('-r', 'always')), 'always');
    for (const wrong of ['', 'Always', 'always:3', 'never:0', 'on-failure:', 'on-failure:-1', 'on-failure:9999999'])
      assert.throws(() => parseRestart('--restart', wrong), /--restart/);
  });

  it('are pairs, of which the last counts', () => {
    assert.deepEqual(parseEnv('-e', 'A=b=c'), ['A', 'b=c']);
    for (const wrong of ['A', '=x', '1A=x', 'A B=x']) assert.throws(() => parseEnv('--env', wrong), /--env/);
    assert.deepEqual(
      pairsToRecord([
        ['A', '1'],
        ['A', '2'],
      ]),
      { A: '2' },
    );
    const record = pairsToRecord([['__proto__', 'x']]);
    assert.deepEqual(Object.keys(record), ['__proto__']);
    assert.equal(JSON.stringify(record), '{"__proto__":"x"}');
  });

  it('are lines of a file', () => {
    assert.deepEqual(parseEnvFile('--env-file', '# no\n\nA=1\r\nB= x \n'), [
      ['A', '1'],
      ['B', ' x '],
    ]);
    assert.throws(() => parseEnvFile('--env-file', 'A=1\nwrong\n'), /--env-file line 2/);
  });

  it('are snapshots and states', () => {
    assert.deepEqual(parseSnapshotRef('--from-snapshot', 'db@before'), { machine: 'db', name: 'before' });
    for (const wrong of ['db', '@x', 'db@', 'db@a/b']) assert.throws(() => parseSnapshotRef('--from-snapshot', wrong), /--from-snapshot/);
    assert.deepEqual(parseStates('--state', 'running,failed'), ['running', 'failed']);
    assert.throws(() => parseStates('--state', 'runing'), CenoteError);
    assert.deepEqual(machineStateNames, machineStates, 'this list is kept apart so that the schemas need not be loaded');
  });

  it('are times', () => {
    assert.deepEqual(
      ['10', '10s', '2m', '1h'].map((text) => parseSeconds('-g', text)),
      [10, 10, 120, 3600],
    );
    for (const wrong of ['', 's', '1d', '-1', '1.5s']) assert.throws(() => parseSeconds('--grace', wrong), /--grace/);
    assert.deepEqual([0, 59, 60, 3599, 3600, 90_000].map(formatDuration), ['0s', '59s', '1m', '59m', '1h', '1d']);
    assert.equal(formatAge(null), '-');
    assert.equal(formatAge('2026-01-01T00:00:10Z', Date.parse('2026-01-01T00:00:00Z')), '0s');
  });

  it('are quoted as a shell needs them', () => {
    assert.equal(quoteWords(['a', 'b c', "it's", '']), `a 'b c' 'it'\\''s' ''`);
  });
});

describe('machines as people name them', () => {
  const machines = [
    { id: 'aaaa1111-0000-4000-8000-000000000000', name: 'web-1' },
    { id: 'aaaa2222-0000-4000-8000-000000000000', name: 'web-2' },
    { id: 'bbbb0000-0000-4000-8000-000000000000', name: 'aaaa1' },
    { id: 'cccc0000-0000-4000-8000-000000000000', name: 'db' },
  ];

  it('are names before ids before beginnings of ids', () => {
    assert.equal(pickOne(machines, 'aaaa1').name, 'aaaa1');
    assert.equal(pickOne(machines, 'aaaa11').name, 'web-1');
    assert.equal(pickOne(machines, machines[1]!.id).name, 'web-2');
    assert.throws(() => pickOne(machines, 'aaaa'), /beginning of 2 ids/);
    assert.throws(() => pickOne(machines, 'ccc'), /no machine "ccc"/);
    const only = [{ id: 'cccc1111-0000-4000-8000-000000000000', name: 'hello-world' }, ...machines];
    assert.throws(() => pickOne(only, 'hel'), { code: 'not_found', advice: 'did you mean hello-world?' });
    assert.throws(
      () => pickOne(machines, 'web-3'),
      (error: CenoteError) => error.code === 'not_found' && error.advice === 'did you mean web-1?',
    );
  });

  it('are patterns, each machine once', () => {
    assert.deepEqual(
      pickMany(machines, ['web-*', 'web-1', 'd?']).map(({ name }) => name),
      ['web-1', 'web-2', 'db'],
    );
    assert.deepEqual(
      pickMany(machines, ['web-[2-9]']).map(({ name }) => name),
      ['web-2'],
    );
    assert.deepEqual(
      pickMany(machines, ['web-[!2]']).map(({ name }) => name),
      ['web-1'],
    );
    assert.throws(() => pickMany(machines, ['x*']), /no machine matches/);
  });

  it('match themselves as patterns, and patterns never fail otherwise than by refusal', () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-zA-Z0-9_.-]{1,20}$/), (name) => globExpression(name).test(name) && globExpression('*').test(name)));
    fc.assert(
      fc.property(fc.string(), (glob) => {
        try {
          globExpression(glob);
        } catch (error) {
          assert(error instanceof CenoteError);
        }
      }),
    );
  });

  it('are acted on without --yes only when one was named', () => {
    wantYes('stop', ['db'], machines.slice(3), false);
    wantYes('stop', ['*'], machines, true);
    assert.throws(() => wantYes('stop', ['d*'], machines.slice(3), false), /would stop 1 machine: db/);
    assert.throws(() => wantYes('stop', ['web-1', 'db'], machines.slice(2), false), /would stop 2 machines/);
  });
});

describe('did you mean', () => {
  it('the nearest word that is near enough', () => {
    assert.equal(closest('craete', ['create', 'delete']), 'create');
    assert.equal(closest('sanpshot', ['snapshot', 'start']), 'snapshot');
    assert.equal(closest('frobnicate', ['create', 'delete']), undefined);
  });
});

describe('configuration', () => {
  it('takes the root from before the command, then from the environment, then by default', () => {
    assert.equal(compileConfig(['ls'], {}).config.root, defaultRoot);
    assert.equal(compileConfig(['ls'], { CENOTE_ROOT: '/srv/a' }).config.root, '/srv/a');
    const { config, words } = compileConfig(['--root', '/srv/b/', '--agent', 'ls', '--root', 'x'], { CENOTE_ROOT: '/srv/a' });
    assert.deepEqual([config.root, config.agent, words], ['/srv/b', true, ['ls', '--root', 'x']]);
    assert.equal(compileConfig(['--root=/srv/c'], {}).config.controlSocket, instancePaths('/srv/c').controlSocket);
    assert.equal(compileConfig([], {}).config.agentSocket, instancePaths(defaultRoot).agentSocket);
  });

  it('refuses a root that will not do', () => {
    for (const words of [['--root'], ['--root', '--agent'], ['--root=']]) assert.throws(() => compileConfig(words, {}), /--root: needs a directory/);
    assert.throws(() => compileConfig(['--root', `/${'x'.repeat(100)}`], {}), /too long/);
  });
});

describe('where to listen', () => {
  it('is an address, with or without a port', () => {
    assert.deepEqual(parseListen('--cloudapi', '192.0.2.7:443'), { address: '192.0.2.7', port: 443 });
    assert.deepEqual(parseListen('--cloudapi', '0.0.0.0'), { address: '0.0.0.0', port: undefined });
    assert.deepEqual(parseListen('--cloudapi', '[::1]:7080'), { address: '::1', port: 7080 });
    assert.deepEqual(parseListen('--cloudapi', '2001:db8::1'), { address: '2001:db8::1', port: undefined });
    for (const text of ['', 'example.com', '192.0.2.7:0', '192.0.2.7:65536', '192.0.2.7:x', '[::1', '1.2.3'])
      assert.throws(() => parseListen('--cloudapi', text), { code: 'invalid_argument' }, text);
  });
});
