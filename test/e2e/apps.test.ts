/**
 * Real programs as Debian packages them, unmodified, in machines on a platform built with them: each answers the host and another
 * machine, and has its data after a stop and a start. Needs root and Debian's packages.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { installed, runAny } from '../../src/exec/run.ts';
import type { Machine } from '../../src/model/control-api.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';

const examples = resolve(import.meta.dirname, '../../examples');
const skip = skipInstance || (!(await installed('mmdebstrap')) ? 'needs mmdebstrap' : false);
const buildTimeoutMs = 900_000;

/** Small guarantees: what a program needs beyond is borrowed. */
const small = ['--cpu', '0.01', '--memory', '32M', '--disk', '300M'];

describe('real applications', { skip }, () => {
  let cenote: TestInstance;
  before(async () => {
    cenote = await startInstance({ poolSizeMib: 4608 });
    const include = 'nginx-light,redis-server,postgresql,curl';
    const built = await cenote.cenoteWith({ timeoutMs: buildTimeoutMs }, 'platform', 'build', '--name', 'apps', '--include', include);
    assert.equal(built.code, 0, built.stderr);
    await cenote.must('create', 'neighbour', '--platform', 'apps', ...small);
  });
  after(() => cenote?.[Symbol.asyncDispose]());

  const inside = (name: string, ...command: string[]): Promise<string> => cenote.must('exec', name, '--', ...command).then((text) => text.trim());
  const address = async (name: string): Promise<string> => (await cenote.json<Machine>('get', name)).address;
  const restart = async (name: string): Promise<void> => {
    await cenote.must('stop', name);
    await cenote.must('start', name);
  };
  const page = async (url: string): Promise<string> => {
    for (let round = 0; ; round += 1) {
      try {
        const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
        return `${answer.status} ${await answer.text()}`;
      } catch (error) {
        if (round > 100) throw error;
        await sleep(100);
      }
    }
  };

  it('a web server in Node', async () => {
    await cenote.must('create', 'web', '--image', 'node', '--code', `${examples}/hello`, ...small);
    const url = `http://${await address('web')}/`;
    assert.match(await page(url), /^200 /);
    assert.equal(await cenote.until('neighbour', ['curl', '-sfo', '/dev/null', '-w', '%{http_code}', url]), '200');
    await restart('web');
    assert.match(await page(url), /^200 /);
  });

  it('nginx on port 80, with its page', async () => {
    await cenote.must('create', 'nginx', '--platform', 'apps', ...small, '--', 'nginx', '-g', 'daemon off;');
    const url = `http://${await address('nginx')}/`;
    assert.match(await page(url), /Welcome to nginx!/);
    assert.match(await cenote.until('neighbour', ['curl', '-sf', url]), /Welcome to nginx!/);
    await inside('nginx', 'sh', '-c', 'echo mine > /var/www/html/index.html');
    await restart('nginx');
    assert.match(await page(url), /^200 mine/);
    assert.match(
      await inside('nginx', 'sh', '-c', 'ps -o user= -C nginx 2>/dev/null || grep -h ^Uid /proc/[0-9]*/status'),
      /www-data|\b33\b/,
      'its workers are not root',
    );
  });

  it('Redis keeps what it was told', async () => {
    const options = ['--daemonize', 'no', '--bind', '0.0.0.0', '--protected-mode', 'no', '--appendonly', 'yes', '--unixsocket', '/run/redis/redis.sock'];
    const command = ['setpriv', '--reuid', 'redis', '--regid', 'redis', '--init-groups', 'redis-server', '/etc/redis/redis.conf', ...options];
    await cenote.must('create', 'redis', '--platform', 'apps', ...small, '--', ...command);
    await cenote.until('redis', ['redis-cli', 'PING']);
    assert.equal(await inside('redis', 'redis-cli', '-s', '/run/redis/redis.sock', 'SET', 'a', '1'), 'OK', 'its directory below /run is there');
    assert.equal(await inside('neighbour', 'redis-cli', '-h', await address('redis'), 'GET', 'a'), '1');
    await restart('redis');
    await cenote.until('redis', ['redis-cli', 'PING']);
    assert.equal(await inside('redis', 'redis-cli', 'GET', 'a'), '1');
    const { stdout } = await runAny('bash', ['-c', `exec 3<>/dev/tcp/${await address('redis')}/6379; printf 'PING\\r\\n' >&3; head -1 <&3`]);
    assert.equal(stdout.trim(), '+PONG', 'from the host');
  });

  it('PostgreSQL: Debian’s cluster, durable, under pgbench', async () => {
    const server = [
      '/usr/lib/postgresql/15/bin/postgres',
      '-D',
      '/var/lib/postgresql/15/main',
      '-c',
      'config_file=/etc/postgresql/15/main/postgresql.conf',
      '-c',
      'listen_addresses=*',
    ];
    const command = ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--init-groups', ...server];
    await cenote.must('create', 'pg', '--platform', 'apps', '--memory', '128M', '--cpu', '0.01', '--disk', '700M', '--no-start', '--', ...command);
    await cenote.must('start', 'pg');
    const asPostgres = (...words: string[]) => cenote.must('exec', '--user', 'postgres', 'pg', '--', ...words).then((text) => text.trim());
    const ready = () => cenote.until('pg', ['pg_isready']);
    await ready();
    assert.equal(await asPostgres('psql', '-Atc', 'show fsync'), 'on');
    await asPostgres('createdb', 'bench');
    await asPostgres('pgbench', '-q', '-i', 'bench');
    assert.match(await asPostgres('pgbench', '-c', '4', '-T', '5', 'bench'), /number of failed transactions: 0 [\s\S]*tps = [1-9]/);
    const told = await asPostgres('psql', '-Atc', 'select count(*), sum(abalance) from pgbench_accounts', 'bench');
    assert.match(told, /^100000\|/);
    assert.equal(await cenote.until('neighbour', ['pg_isready', '-h', await address('pg')]).then((text) => /accepting/.test(text)), true);
    await restart('pg');
    await ready();
    assert.equal(await asPostgres('psql', '-Atc', 'select count(*), sum(abalance) from pgbench_accounts', 'bench'), told);
  });

  it('a stop reaches what runs below a shell, and waits for nothing where nothing listens', async () => {
    const app = 'sh -c \'trap "echo bye; exit 0" TERM; while :; do sleep 0.1; done\'; echo after';
    await cenote.must('create', 'wrapped', ...small, '--stop-grace', '60s', '--', 'sh', '-c', app);
    await cenote.must('create', 'deaf', ...small, '--stop-grace', '1h', '--', 'sleep', 'infinity');
    await cenote.must('stop', 'wrapped', 'deaf', '--yes');
    assert.match(await cenote.must('logs', 'wrapped'), /bye\nafter/);
    assert.equal((await cenote.json<Machine>('get', 'deaf')).state, 'stopped');
  });

  it('files are told apart by their numbers', async () => {
    // Every tree below numbers its files from the same beginning; cp takes equal numbers for one file.
    await cenote.must('create', 'tools', '--no-watch', '--image', 'node', '--platform', 'apps', ...small);
    await cenote.must('create', 'copies', '--platform', 'apps', ...small);
    await inside('copies', 'sh', '-c', 'cp -a /etc /var/lib /tmp/ && diff -r --no-dereference /etc /tmp/etc && ! diff -q /etc/passwd /etc/group >/dev/null');
  });
});
