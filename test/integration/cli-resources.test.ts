/** Snapshots, images, platforms, packages and the host on the command line; help, completion and mistakes. */
import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack as tarPack } from 'tar-stream';
import { allCommands } from '../../src/cli/commands.ts';
import { runAny } from '../../src/exec/run.ts';
import type { Accepted, ControlInfo, Machine } from '../../src/model/control-api.ts';
import type { Event } from '../../src/model/event.ts';
import type { Image, Platform } from '../../src/model/image.ts';
import type { Snapshot } from '../../src/model/machine.ts';
import { defaultResources, unlimited } from '../../src/model/default-resources.ts';
import type { Package } from '../../src/model/resources.ts';
import { cliFixture, failed, launcher, succeeded } from '../support/cli-fixture.ts';
import type { CliFixture, CliResult } from '../support/cli-fixture.ts';
import { eventually } from '../support/control-fixture.ts';

describe('the rest of the command line', () => {
  let cli: CliFixture;
  before(async () => {
    cli = await cliFixture();
    succeeded(await cli.cenote('create', 'db'));
  });
  after(() => cli[Symbol.asyncDispose]());

  it('has snapshots, and machines from them', async () => {
    assert.match(succeeded(await cli.cenote('snapshot', 'create', 'db', 'before')).stdout, /^created db@before in \d+ ms, stood still for 1 ms\n$/);
    assert.match(succeeded(await cli.cenote('snapshot', 'create', 'db')).stdout, /^created db@\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ /);
    assert.equal((await cli.cenote('snapshot', 'ls', 'db', '--json')).json<Snapshot[]>().length, 2);
    const atOnce = await Promise.all([1, 2, 3].map(async () => succeeded(await cli.cenote('snapshot', 'create', 'db')).stdout.split(' ')[1]));
    assert.equal(new Set(atOnce).size, 3, 'made in the same second');
    for (const each of new Set(atOnce)) succeeded(await cli.cenote('snapshot', 'delete', 'db', each!.slice('db@'.length)));
    assert.match(succeeded(await cli.cenote('snapshot', 'ls', 'db')).stdout, /^NAME +SIZE +FREEZE +AGE\n/);
    assert.equal(succeeded(await cli.cenote('create', 'copy', '--from-snapshot', 'db@before', '--json')).json<Accepted>().machine?.state, 'running');
    succeeded(await cli.cenote('update', 'db', '--env', 'KEPT=1', '--env', 'OTHER=1'));
    const like = succeeded(await cli.cenote('create', 'like', '--from-snapshot', 'db@before', '--env', 'OTHER=2', '--json')).json<Accepted>().machine;
    assert.deepEqual(like?.env, { KEPT: '1', OTHER: '2' });
    succeeded(await cli.cenote('delete', 'like'));
    assert.match(succeeded(await cli.cenote('snapshot', 'rollback', 'db', 'before')).stdout, /^db is back at before \(restarted; /);
    failed(await cli.cenote('snapshot', 'create', 'db', 'a/b'), 2, /SNAPSHOT: "a\/b" is not a valid/);
    failed(await cli.cenote('snapshot', 'rollback', 'db', 'never'), 4, /never/);
    assert.equal(succeeded(await cli.cenote('snapshot', 'delete', 'db', 'before')).stdout, 'deleted db@before\n');
  });

  it('has images of directories and archives', async () => {
    await mkdir(join(cli.directory, 'shop'));
    await writeFile(join(cli.directory, 'shop', 'main.js'), 'x'.repeat(3000));
    const image = succeeded(await cli.cenote('image', 'create', 'shop', '--from', 'shop', '--json', '--', 'node', 'main.js')).json<Image>();
    assert.deepEqual([image.kind, image.config], ['app', { WorkingDir: '/app', Cmd: ['node', 'main.js'] }]);
    const archive = tarPack();
    archive.entry({ name: 'etc/x' }, 'x');
    archive.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
    await writeFile(join(cli.directory, 'whole.tar.gz'), gzipSync(Buffer.concat(chunks)));
    await writeFile(join(cli.directory, 'config.json'), '{"architecture":"amd64","config":{"Cmd":["/init"],"User":"1000"}}');
    const whole = succeeded(
      await cli.cenote('image', 'create', 'alpine', '--from', 'whole.tar.gz', '--system', '--config', 'config.json', '--json'),
    ).json<Image>();
    assert.deepEqual([whole.kind, whole.config], ['system', { Cmd: ['/init'], User: '1000' }]);
    assert.equal(Math.round(whole.sizeMib * 1024 * 1024), gzipSync(Buffer.concat(chunks)).length, 'sent as it is');
    succeeded(await cli.cenote('image', 'create', 'saved', '--from-machine', 'db'));
    assert.deepEqual(
      (await cli.cenote('image', 'ls', '--json'))
        .json<Image[]>()
        .map(({ name }) => name)
        .toSorted(),
      ['alpine', 'base', 'saved', 'shop', 'whole'],
    );
    assert.match(succeeded(await cli.cenote('image', 'ls')).stdout, /^NAME +ID +KIND/);
    assert.match(succeeded(await cli.cenote('image', 'get', 'shop')).stdout, /Command: +node main\.js\nDirectory: +\/app/);
    const leftovers = { Hostname: '', Domainname: '', AttachStdin: false, Tty: false, OpenStdin: false, Image: 'sha256:0', OnBuild: null, Shell: ['/bin/sh'] };
    const kept = { Cmd: ['nginx'], ExposedPorts: { '80/tcp': {} }, StopSignal: 'SIGQUIT', Labels: { a: 'b' } };
    const docker = { ...leftovers, ...kept, Entrypoint: null, Volumes: null };
    await writeFile(join(cli.directory, 'docker.json'), JSON.stringify(docker));
    assert.deepEqual(
      succeeded(await cli.cenote('image', 'create', 'inspected', '--from', 'whole.tar.gz', '--config', 'docker.json', '--json')).json<Image>().config,
      kept,
      'as docker inspect shows it',
    );
    succeeded(await cli.cenote('image', 'delete', 'inspected'));
    const config = async (text: string): Promise<CliResult> => {
      await writeFile(join(cli.directory, 'wrong.json'), text);
      return cli.cenote('image', 'create', 'x', '--from', 'shop', '--config', 'wrong.json');
    };
    failed(await config('{"config":{"Cmdx":1}}'), 2, /^cenote: --config: Cmdx: unknown field$/m);
    failed(await config('{"Cmd":"one"}'), 2, /^cenote: --config: Cmd: must be array$/m);
    failed(await config('{"StopSignal":"SIGWHAT"}'), 2, /^cenote: --config: StopSignal: "SIGWHAT" is not a signal\nwrite one such as/m);
    for (const [test, problem] of [
      ['["exit","1"]', 'begins with "exit"'],
      ['["CMD"]', 'names no program after "CMD"'],
      ['["CMD-SHELL"]', 'has one line for the shell after "CMD-SHELL"'],
      ['["CMD-SHELL","true","false"]', 'has one line for the shell after "CMD-SHELL"'],
    ])
      failed(
        await config(`{"Healthcheck":{"Test":${test}}}`),
        2,
        new RegExp(`^cenote: --config: Healthcheck\\.Test: ${problem}; it is \\["CMD", PROGRAM`, 'm'),
      );
    failed(await config('[]'), 2, /--config: wrong\.json is not an image configuration/);
    failed(await cli.cenote('image', 'create', 'x'), 2, /one of --from and --from-machine/);
    failed(await cli.cenote('image', 'create', 'X', '--from', 'shop'), 2, /NAME: "X" is not a valid name/);
    failed(await cli.cenote('image', 'create', 'x', '--from', 'nowhere'), 2, /--from: cannot read nowhere/);
    failed(await cli.cenote('image', 'create', 'x', '--from', 'shop', '--config', 'shop/main.js'), 2, /--config: .* is not JSON/);
    failed(await cli.cenote('image', 'delete', 'shop', 'alpine'), 2, /would delete 2 images/);
    assert.equal(succeeded(await cli.cenote('image', 'delete', 'shop', 'alpine', '--yes')).stdout, 'deleted image shop\ndeleted image alpine\n');
    failed(await cli.cenote('image', 'delete', 'base'), 5, /base/);
  });

  it('has platforms, and moves machines between their versions', async () => {
    assert.match(succeeded(await cli.cenote('platform', 'ls')).stdout, /^host +live +simulated/m);
    const built = succeeded(await cli.cenote('platform', 'build', '--name', 'data', '--include', 'redis,curl', '--json')).json<Platform>();
    assert.deepEqual([built.name, built.version, built.include], ['data', '1', ['redis', 'curl']]);
    failed(await cli.cenote('platform', 'build', '--include', 'redis'), 2, /--name is missing/);
    failed(await cli.cenote('platform', 'build', '--name', 'data', '--include', 'Red is'), 2, /--include: "Red is" is not the name/);
    const on = async (name: string) => (await cli.cenote('get', name, '--json')).json<Machine>().platform;
    succeeded(await cli.cenote('platform', 'update', 'db', '--to', 'web@9'));
    assert.deepEqual(await on('db'), { name: 'web', version: '9' });
    assert.match(succeeded(await cli.cenote('platform', 'update', 'db')).stdout, /^db: web@9 to web@10 in \d+ ms\n$/);
    assert.match(succeeded(await cli.cenote('platform', 'update', 'db')).stderr, /there already/);
    succeeded(await cli.cenote('platform', 'update', 'db', '--back'));
    assert.deepEqual(await on('db'), { name: 'web', version: '9' });
    failed(await cli.cenote('platform', 'update', '--all', '--to', 'data'), 2, /would restart 2 machines/);
    assert.equal(succeeded(await cli.cenote('platform', 'update', '--all', '--to', 'data', '--roll', '--yes', '--json')).json<Accepted[]>().length, 2);
    failed(await cli.cenote('platform', 'update', 'db', '--back'), 4, /no version before data@1/);
    failed(await cli.cenote('platform', 'update', 'db', '--to', 'nix'), 4, /no platform "nix"/);
    failed(await cli.cenote('platform', 'update'), 2, /machines or --all/);
    failed(await cli.cenote('platform', 'delete', 'web'), 2, /says no version/);
    assert.equal(succeeded(await cli.cenote('platform', 'delete', 'web@1')).stdout, 'deleted platform web@1\n');
  });

  it('has packages', async () => {
    const made = succeeded(
      await cli.cenote('package', 'create', 'web', '--cpu', '2', '--memory', '4G', '--disk', '50G', '--memory-ceiling', '8G', '--json'),
    ).json<Package>();
    assert.deepEqual(made.resources, { ...unlimited, cpuMillis: 2000, memoryMib: 4096, memoryCeilingMib: 8192, diskMib: 51_200 });
    assert.match(succeeded(await cli.cenote('package', 'ls', '-H')).stdout, /^web@1 +2 +- +4G\.\.8G +50G +1024 +100 +- +\d+s$/m);
    assert.match((await cli.cenote('package', 'ls')).stdout, /^tiny@1 .*$/m, 'a catalogue to begin with');
    assert.deepEqual((await cli.cenote('package', 'get', 'web', '--json')).json(), made);
    const big = succeeded(await cli.cenote('create', 'big', '--package', 'web', '--cpu', '1', '--json')).json<Accepted>().machine!;
    assert.equal(big.resources.cpuMillis, 1000);
    failed(await cli.cenote('package', 'create', 'other', '--cpu', '1'), 2, /--memory, --disk are missing/);
    failed(await cli.cenote('package', 'create', 'web', '--cpu', '1', '--memory', '1G', '--disk', '1G'), 5, /already a package.*\n.*package update web/);
    failed(await cli.cenote('package', 'delete', 'web'), 5, /package web is what big has/);
    assert.match(
      succeeded(await cli.cenote('package', 'update', 'web', '--io-read', '50M', '--net', '100')).stdout,
      /^web is now web@2: .*reads at most 50M\/s/,
    );
    failed(await cli.cenote('package', 'update', 'web'), 2, /nothing to change/);
    assert.deepEqual((await cli.cenote('package', 'get', 'web@1', '--json')).json(), made, 'a version never changes');
    assert.match((await cli.cenote('package', 'ls', '--versions')).stdout, /^web@2 .*\nweb@1 /m);
    assert.match((await cli.cenote('get', 'big')).stdout, /Package: +web@1, but for its own CPU\n/);
    assert.match(succeeded(await cli.cenote('resize', 'big', '--package', 'web')).stdout, /network 100 Mbit\/s/);
    assert.match((await cli.cenote('get', 'big')).stdout, /Package: +web@2\n/);
    assert.equal(succeeded(await cli.cenote('package', 'delete', 'web@1')).stdout, 'deleted package web@1\n');
    failed(await cli.cenote('package', 'get', 'web@1'), 4, /web@1/);
  });

  it('changes every number of a machine by itself', async () => {
    const flags = ['--cpu-ceiling', '1.5', '--cpu-burst', '0.5:30s', '--io-weight', '50', '--io-read', '50M', '--io-write', '1G/s'];
    const more = ['--io-read-ops', '100', '--io-write-ops', '200', '--net', '10', '--net-ceiling', '2.5G', '--json'];
    const { resources } = succeeded(await cli.cenote('resize', 'db', ...flags, ...more)).json<Accepted>().machine!;
    assert.deepEqual(resources, {
      ...defaultResources,
      cpuCeilingMillis: 1500,
      burst: { baselineMillis: 500, burstSeconds: 30 },
      ioWeight: 50,
      ioReadMibps: 50,
      ioWriteMibps: 1024,
      ioReadIops: 100,
      ioWriteIops: 200,
      networkMbps: 10,
      networkCeilingMbps: 2500,
    });
    const shown = (await cli.cenote('get', 'db')).stdout;
    assert.match(shown, /Burst: +0\.5 cores without end, 30s at the ceiling/);
    assert.match(shown, /I\/O: +weight 50, reads at most 50M\/s and 100 a second, writes at most 1G\/s and 200 a second/);
    assert.match(shown, /Bandwidth: +10\.\.2\.5 Gbit\/s/);
    assert.match((await cli.cenote('resize', 'db', '--net', '10')).stderr, /^nothing holds 10 Mbit\/s for it: .*--net-capacity\)$/m);
    assert.match((await cli.cenote('resize', 'db', '--net-ceiling', '100', '--net', '0')).stdout, /network none guaranteed, at most 100 Mbit\/s/);
    assert.match((await cli.cenote('get', 'db')).stdout, /Bandwidth: +none guaranteed, at most 100 Mbit\/s/);
    const none = ['cpu-ceiling', 'cpu-burst', 'io-read', 'io-write', 'io-read-ops', 'io-write-ops', 'net-ceiling'].flatMap((flag) => [`--${flag}`, 'none']);
    const back = succeeded(await cli.cenote('resize', 'db', ...none, '--net', '0', '--io-weight', '100', '--json')).json<Accepted>().machine!;
    assert.deepEqual(back.resources, defaultResources);
    failed(await cli.cenote('resize', 'db', '--cpu-burst', '0.5'), 2, /--cpu-burst: "0\.5" is not BASELINE:TIME/);
    failed(
      await cli.cenote('resize', 'db', '--cpu-burst', '2:30s', '--cpu-ceiling', 'none'),
      2,
      /the baseline of 2 cores leaves nothing to burst: the host has 2 cores\n/,
    );
    failed(await cli.cenote('resize', 'db', '--cpu-ceiling', '1', '--cpu-burst', '1:30s'), 2, /leaves nothing to burst below the ceiling of 1 core\n/);
    failed(await cli.cenote('resize', 'db', '--net', '10', '--net-ceiling', '5'), 2, /ceiling of 5 Mbit\/s is below the guarantee of 10 Mbit\/s/);
    failed(
      await cli.cenote('resize', 'db', '--cpu', '3000', '--memory', '8T', '--wait'),
      7,
      /^cenote: not enough CPU: asked for 3000 cores, \S+ cores at most: it has 0\.02 cores, and \S+ cores of 2000 cores are left; not enough memory: asked for 8192G, \d+M at most: it has 64M, and \d+M of 4000000M are left\n/,
    );
    failed(await cli.cenote('create', 'large', '--disk', '100T'), 7, /^cenote: not enough disk: asked for 102400G, \d+M of 40000000M left\n/);
    failed(await cli.cenote('resize', 'db', '--disk', '2.3G'), 2, /--disk: "2\.3G" is not a whole number of MiB\nwrite 2355M, for one\n/);
    assert.equal(succeeded(await cli.cenote('resize', 'db', '--disk', '2Gi', '--json')).json<Accepted>().machine!.resources.diskMib, 2048);
    failed(await cli.cenote('resize', 'db', '--net-ceiling', '0'), 2, /--net-ceiling: a ceiling of 0/);
    failed(await cli.cenote('resize', 'db', '--io-weight', '0'), 2, /--io-weight: "0" is not a whole number from 1 to 1000/);
  });

  it('says what the host is and what happened', async () => {
    assert.equal(succeeded(await cli.cenote('info', '--json')).json<ControlInfo>().agent?.host.name, 'simulated');
    assert.match(succeeded(await cli.cenote('info')).stdout, /^Control plane: .*\nYou are: +uid:\d+/);
    const events = succeeded(await cli.cenote('events', '--json'))
      .stdout.trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Event);
    assert(events.length > 5);
    const last = events.at(-1)!.sequence;
    assert.equal((await cli.cenote('events', '--after', String(last))).stdout, '');
    const following = cli.start('events', '-f', '--after', String(last));
    succeeded(await cli.cenote('stop', 'db'));
    await eventually(following.output, (text) => text.includes('stop of db succeeded'));
    process.kill(following.pid, 'SIGTERM');
    assert.equal(await following.ended, 130);
    assert.match(succeeded(await cli.cenote('version')).stdout, /^cenote \d+\.\d+\.\d+ \(Node \d+/);
    assert.match((await cli.cenote('--version')).stdout, /^cenote /);
  });

  it('has help for every command, with examples that it would understand', async () => {
    assert.match(succeeded(await cli.cenote('--help')).stdout, /snapshot rollback/);
    assert.equal((await cli.cenote()).code, 2);
    assert.match(succeeded(await cli.cenote('snapshot', '--help')).stdout, /Usage: cenote .*snapshot/);
    assert.match(succeeded(await cli.cenote('help', 'create')).stdout, /--from-snapshot/);
    for (const [name, { load, summary }] of Object.entries(allCommands())) {
      const { commandHelp } = await import('../../src/cli/help.ts');
      const command = await load();
      const help = commandHelp(name, summary, command);
      assert(help.includes(`Usage: cenote ${name}`), help);
      assert(command.examples.length > 0, `${name} has no example`);
      for (const example of command.examples) assert(example.replace(/^--(root \S+|agent) /, '').startsWith(name), example);
    }
    const help = succeeded(await cli.cenote('exec', '--help')).stdout;
    assert.match(help, /^Run a command in a machine\n\nUsage: cenote exec \[FLAGS\] NAME -- COMMAND…/);
  });

  it('says what is wrong with words, and what was perhaps meant', async () => {
    failed(await cli.cenote('craete', 'x'), 2, /^cenote: unknown command "craete"\ndid you mean cenote create\?\n$/);
    failed(await cli.cenote('rm', 'x'), 2, /did you mean cenote delete\?/);
    failed(await cli.cenote('snapshot', 'craete', 'x'), 2, /unknown command snapshot craete\ndid you mean snapshot create\?/);
    failed(await cli.cenote('snapshot'), 2, /there are: snapshot create/);
    failed(await cli.cenote('--verbose', 'ls'), 2, /unknown flag --verbose before the command/);
    failed(await cli.cenote('create', 'x', '--memry', '1G'), 2, /^cenote: unknown flag --memry\ndid you mean --memory\?\n$/);
    failed(
      await cli.cenote('create', 'x', '--image', 'nginx:latest'),
      2,
      /^cenote: --image: there is no image "nginx:latest"\nimages are not fetched from registries: .*--include nginx/,
    );
    failed(await cli.cenote('run', '-it', 'x'), 2, /^cenote: unknown flag -i\nrun only shows output; to type: .*exec -it NAME/);
    failed(await cli.cenote('ls', '-a'), 2, /ls lists all machines/);
    failed(await cli.cenote('ls', '-q'), 2, /cenote ls -H -o name/);
    failed(await cli.cenote('create', 'x', '--memory', '1Q'), 2, /^cenote: --memory: "1Q" is not a size\n/);
    failed(await cli.cenote('create', '../x'), 2, /NAME: "\.\.\/x" is not a valid machine name/);
    failed(await cli.cenote('create', 'x', '--package', 'none'), 2, /none/);
    failed(await cli.cenote('constructor'), 2, /unknown command/);
  });

  it('proposes what may come next', async () => {
    const proposed = async (...words: string[]) =>
      succeeded(await cli.cenote('__complete', ...words))
        .stdout.split('\n')
        .slice(0, -1);
    assert.deepEqual(await proposed('sn'), ['snapshot']);
    assert.deepEqual(await proposed('snapshot', 'r'), ['rollback']);
    assert.deepEqual(await proposed('get', 'd'), ['db']);
    assert.deepEqual((await proposed('stop', 'db', '')).toSorted(), ['big', 'copy', 'db']);
    assert.deepEqual(await proposed('create', 'x', '--from-'), ['--from-snapshot']);
    assert((await proposed('create', '--image', '')).includes('base'));
    assert.deepEqual(await proposed('create', '--restart', 'a'), ['always']);
    assert.deepEqual(await proposed('create', '--code', ''), [':directory']);
    assert.deepEqual(await proposed('completion', 'f'), ['fish']);
    assert.deepEqual(await proposed('cp', 'd'), [':file', 'db:']);
    assert.deepEqual(await proposed('help', 'snapshot', 'r'), ['rollback']);
    const elsewhere = async (...words: string[]) =>
      (await runAny(launcher, ['__complete', ...words], { env: { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath } })).stdout.trim();
    assert.equal(await elsewhere('--root', cli.root, 'get', 'd'), 'db', 'of the instance that was named');
    assert.equal(await elsewhere(`--root=${cli.root}`, 'sn'), 'snapshot');
    assert.equal(await elsewhere('--root', ''), ':directory');
    assert.equal(await elsewhere('--root', `${cli.root}/none`, 'get', ''), '');
    assert.deepEqual(await proposed('nothing', 'x'), []);
  });

  it('has completion scripts that their shells accept', async (test) => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { stdout } = succeeded(await cli.cenote('completion', shell));
      await writeFile(join(cli.directory, `completion.${shell}`), stdout);
      const words = [shell === 'fish' ? '--no-execute' : '-n', join(cli.directory, `completion.${shell}`)];
      const syntax = await runAny(shell, words, { env: { PATH: process.env['PATH']!, HOME: cli.directory } }).catch(() => undefined);
      if (syntax === undefined) test.diagnostic(`${shell} is not here to check its script`);
      else assert.equal(syntax.code, 0, syntax.stderr);
    }
    failed(await cli.cenote('completion', 'zhs'), 2, /did you mean zsh/);
    const script = `${(await cli.cenote('completion', 'bash')).stdout}
      cenote() { "$LAUNCHER" --root "$ROOT" "$@"; }
      COMP_WORDS=(cenote snapshot c) COMP_CWORD=2 COMP_LINE="cenote snapshot c" COMP_POINT=17
      _cenote; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await runAny('bash', ['-c', script], {
      env: { PATH: process.env['PATH']!, LAUNCHER: launcher, ROOT: cli.root, CENOTE_NODE: process.execPath },
    });
    assert.equal(stdout, 'create\n', stderr);
  });

  it('is found through links, from anywhere', async () => {
    await symlink(launcher, join(cli.directory, 'absolute'));
    await symlink('absolute', join(cli.directory, 'relative'));
    const env = { PATH: `${cli.directory}:${process.env['PATH']!}`, HOME: cli.root };
    for (const program of [join(cli.directory, 'absolute'), join(cli.directory, 'relative'), './relative', 'relative']) {
      const { stdout, stderr } = await runAny(program, ['version'], { env, cwd: cli.directory });
      assert.match(stdout, /^cenote /, `${program}: ${stderr}`);
    }
    const wrong = await runAny(launcher, ['version'], { env: { ...env, CENOTE_NODE: '/nowhere/node' } });
    assert.deepEqual([wrong.code, wrong.stderr], [69, 'cenote: CENOTE_NODE is /nowhere/node, which is not a program\n']);
  });

  it('ends quietly when its reader has seen enough', async () => {
    const env = { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath };
    const { stderr } = await runAny('/bin/sh', ['-c', '"$0" --root "$1" events --json | head -n 1 >/dev/null', launcher, cli.root], { env });
    assert.equal(stderr, '');
  });

  it('says in one line that its output cannot be written', async () => {
    const env = { PATH: process.env['PATH']!, CENOTE_NODE: process.execPath };
    const full = await runAny('/bin/sh', ['-c', '"$0" version > /dev/full', launcher], { env });
    assert.deepEqual([full.code, full.stderr], [1, 'cenote: what there is to say cannot be written: ENOSPC: no space left on device, write\n']);
  });
});
