/** From `up` to an app that answers, through `down`, to `destroy` with every service killed: nothing of the instance may be left. Needs root. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename } from 'node:path';
import { it } from 'node:test';
import { runAny } from '../../src/exec/run.ts';
import { openAllotment } from '../../src/host/allotment/allotment.ts';
import { instancePaths } from '../../src/model/instance.ts';
import { runDestroy, runDown, runUp } from '../../src/setup/commands.ts';
import { readMounts, runsSystemd } from '../../src/setup/host-view.ts';
import { recallProcess, signalProcess } from '../../src/sys/process-identity.ts';
import { serviceNames } from '../../src/setup/service-list.ts';
import { servicePidPath, supervisorPidPath } from '../../src/setup/supervisor.ts';

const skip = process.getuid?.() !== 0 ? 'needs root' : false;

interface UpResult {
  instance: string;
  hello: { url: string; runningMs: number | null } | null;
}

it('a host comes up, goes down with machines running, and is clean afterwards', { skip }, async (context) => {
  const base = mkdtempSync(`${tmpdir()}/up`);
  chmodSync(base, 0o755);
  const root = `${base}/${basename(base).toLowerCase()}`;
  const paths = instancePaths(root);
  const quiet = { root, json: true, note: (text: string) => context.diagnostic(text) };
  context.after(async () => {
    if (existsSync(root)) await runDestroy({ ...quiet, yes: true, line: () => {} });
    rmSync(base, { recursive: true, force: true });
  });
  const up = async (): Promise<UpResult> => {
    const lines: string[] = [];
    assert.equal(await runUp({ ...quiet, poolSizeMib: 1024, cpuMillis: 150, memoryMib: 512, line: (text) => lines.push(text) }), 0);
    return JSON.parse(lines.join('\n')) as UpResult;
  };

  const { instance, hello } = await up();
  assert.notEqual(hello, null);
  const answers = async (): Promise<boolean> => (await fetch(`${hello!.url}healthz`, { signal: AbortSignal.timeout(5000) })).ok;
  assert.equal(await answers(), true);
  const { number } = openAllotment().find(root)!;

  await runDown({ ...quiet, line: () => {} });
  assert.equal(await answers(), true, 'machines go on without the services');
  const again = await up();
  assert.equal(again.hello?.url, hello!.url);
  assert.equal(again.hello?.runningMs, null, 'it ran all the time');

  if (!runsSystemd()) {
    for (const name of serviceNames) {
      const groups = readFileSync(`/proc/${recallProcess(servicePidPath(paths, name))!.pid}/cgroup`, 'utf8');
      assert.ok(groups.includes(`/cenote-${instance}.services/${name}\n`), `${name} is in a group of its own: ${groups}`);
    }
    for (const path of [supervisorPidPath(paths), servicePidPath(paths, 'agent'), servicePidPath(paths, 'control')])
      signalProcess(recallProcess(path)!, 'SIGKILL');
  }
  assert.equal(await runDestroy({ ...quiet, line: () => {} }), 2, 'without --yes it only says what would go');
  assert.equal(await answers(), true);
  assert.equal(await runDestroy({ ...quiet, yes: true, line: () => {} }), 0);

  await assert.rejects(answers());
  assert.deepEqual([root, `/run/cenote-${instance}`].filter(existsSync), []);
  assert.equal(openAllotment().find(root), null);
  const mounts = readMounts();
  assert.deepEqual(
    mounts.filter(({ path }) => path.startsWith(`${root}/`) || path.startsWith(`/run/cenote-${instance}/`)),
    [],
  );
  const groups = mounts
    .filter(({ type }) => type.startsWith('cgroup'))
    .flatMap(({ path }) => readdirSync(path).filter((name) => new RegExp(`^cenote-${instance}\\b`).test(name)));
  assert.deepEqual(groups, []);
  assert.doesNotMatch((await runAny('nft', ['list', 'tables'])).stdout, new RegExp(`cenote-${instance}\\b`));
  assert.doesNotMatch((await runAny('ip', ['-o', 'link'])).stdout, new RegExp(` cn${number}v\\d`));
  const running = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandOf(name).includes(root));
  assert.deepEqual(running, []);
});

const commandOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
};
