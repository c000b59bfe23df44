/**
 * What systemd and people do to the units, and what of it machines notice: nothing, until they are meant to. On demand, since a host is
 * emulated for minutes. Needs root and Debian's packages; see docs/testing.md.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { bringUp, guestNode, helloAnswers } from './guest-instance.ts';
import { checkout } from './image.ts';
import { lockVirtualHosts, skipVirtualHost } from './one-at-a-time.ts';
import { newDisk, startVirtualHost } from './virtual-host.ts';
import type { VirtualHost } from './virtual-host.ts';
import type { VirtualDisk } from './virtual-disk.ts';

const timeout = 40 * 60_000;
const unit = (name: string): string => `cenote-default-${name}.service`;
const [agent, control, machines, lxcfs, standIn] = ['agent', 'control', 'machines', 'lxcfs', 'stand-in'].map(unit) as [string, string, string, string, string];
const group = `/sys/fs/cgroup/${machines}`;
const audit = `${guestNode} ${checkout}/test/virtual/inside/audit.ts /var/tmp/audit`;
const long = { timeoutMs: 400_000 };
const mib = 1024 * 1024;
/** Of hello and one more. */
const guaranteed = String((64 + 16) * mib);

describe('systemd and the units', { skip: skipVirtualHost, timeout }, () => {
  const stack = new AsyncDisposableStack();
  let disk: VirtualDisk;
  let host: VirtualHost;
  const boot = async () => {
    host = stack.use(await startVirtualHost({ disk, init: 'systemd', memoryMib: 2560 }));
  };
  const cenote = (words: string) => host.succeed(`${checkout}/cenote ${words}`, long);
  const property = (name: string, of: string) => host.succeed(`systemctl show --property=${name} --value ${of}`);
  /** Of machines and their monitors. */
  const processes = () => host.succeed(`cd ${group} && grep . */cgroup.procs | grep -v ^keeper`);
  /** Waits until a new agent serves, and then it must be as if nothing had been. */
  const unnoticed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const before = await processes();
    await work();
    await host.succeed(`until ${checkout}/cenote exec hello -- grep -q MemTotal /proc/meminfo; do sleep 1; done`, long);
    assert.equal(await processes(), before, what);
    await helloAnswers(host);
  };

  before(async () => {
    stack.use(await lockVirtualHosts());
    disk = stack.use(await newDisk());
    await boot();
  });
  after(() => stack.disposeAsync());

  it('up starts units that systemd finds in order', async () => {
    await host.succeed(audit);
    await bringUp(host, ['--pool-size', '1G']);
    await helloAnswers(host);
    for (const name of [agent, control, machines, lxcfs, standIn]) assert.equal(await property('ActiveState', name), 'active', name);
    const { code, stderr } = await host.run('systemd-analyze verify /etc/systemd/system/cenote-*.service');
    assert.deepEqual([code, stderr.split('\n').filter((line) => line.includes('cenote'))], [0, []]);
    // Writes down that it was asked to end.
    await cenote(`create other --disk 32M --memory 16M -- /bin/sh -c 'trap "echo ended >> /srv/ends; exit 0" TERM; sleep 1000000 & wait'`);
  });

  it('machines and monitors are in the unit’s group, and nothing of theirs in the agent’s', async () => {
    assert.equal(await property('ControlGroup', machines), `/${machines}`);
    const [, inMachines, inMonitors] = /^((?:[0-9a-f-]{36}\/cgroup\.procs:\d+\n)+)((?:monitors\/cgroup\.procs:\d+\n?)+)$/.exec(await processes()) ?? [];
    assert.ok(inMachines !== undefined && inMonitors?.trimEnd().split('\n').length === 2);
    assert.doesNotMatch(await host.succeed(`systemctl status --no-pager ${agent}`), /conmon|crun/);
    assert.equal(await host.succeed(`cat ${group}/memory.min`), guaranteed);
    const kept = { [agent]: [192, 400], [control]: [160, 1600], [lxcfs]: [32, 400], [standIn]: [64, 400] } as const;
    for (const [name, [protectedMib, weight]] of Object.entries(kept))
      assert.equal(await host.succeed(`cd /sys/fs/cgroup/${name} && cat memory.min cpu.weight`), `${protectedMib * mib}\n${weight}`, name);
    // What protects the agent when memory ends is not handed down to machines.
    assert.ok(Number(await host.succeed(`cat /proc/$(head -q -n 1 ${group}/*-*/cgroup.procs | head -1)/oom_score_adj`)) > 0);
  });

  it('another share of the host is the unit’s at once, and machines run on', async () => {
    const before = await processes();
    for (const [share, memoryMib, weight] of [
      ['--memory 700M --cpu 0.5', 700, 50],
      ['--memory 1200M --cpu 0.7', 1200, 70],
    ] as const) {
      await cenote(`up --no-hello --yes ${share}`);
      assert.deepEqual([await property('MemoryMax', machines), await property('CPUWeight', machines)], [String(memoryMib * mib), String(weight)]);
      assert.equal(Number(await host.succeed(`cat ${group}/memory.max`)), memoryMib * mib);
      assert.equal(await property('MemoryMin', machines), guaranteed);
    }
    assert.equal(await processes(), before);
  });

  it('no restart, kill or reload is noticed by machines', async () => {
    await unnoticed('agent restarted', () => host.succeed(`systemctl restart ${agent}`, long));
    await unnoticed('agent killed', () => host.succeed(`systemctl kill --signal=KILL ${agent}; sleep 2`));
    await unnoticed('control plane restarted', () => host.succeed(`systemctl restart ${control}`, long));
    await unnoticed('stand-in killed', () => host.succeed(`systemctl kill --signal=KILL ${standIn}; sleep 1`));
    await unnoticed('lxcfs killed', () => host.succeed(`systemctl kill --signal=KILL ${lxcfs}; sleep 5`));
    await unnoticed('systemd reloaded', () => host.succeed('systemctl daemon-reload'));
    assert.equal(await host.succeed(`cat ${group}/memory.min`), guaranteed, 'a reload has taken the guarantee away');
    await unnoticed('the unit’s own process killed', () => host.succeed(`kill -9 $(systemctl show --property=MainPID --value ${machines}); sleep 1`));
    await cenote('create third --disk 32M --memory 16M -- sleep 1000');
    await cenote('delete third --yes');
  });

  it('an upgrade is not, either', async () => {
    await host.succeed(
      `mkdir -p /srv/cenote && cd ${checkout} && cp -a cenote package.json package-lock.json src examples /srv/cenote/ && ln -s ${checkout}/node_modules /srv/cenote/node_modules && echo '// changed' >> /srv/cenote/src/agent/main.ts`,
    );
    const before = await property('MainPID', agent);
    await unnoticed('upgraded', () => host.succeed('/srv/cenote/cenote up', long));
    assert.notEqual(await property('MainPID', agent), before);
  });

  it('after a reboot all is there again, by itself', async () => {
    await host.stop();
    await boot();
    await helloAnswers(host);
    await host.succeed(`until ${checkout}/cenote exec other -- true; do sleep 1; done`, long);
    assert.equal(await cenote('exec other -- cat /srv/ends'), 'ended');
    assert.match(await cenote('events'), /other exited with code 0/, 'the agent has not stopped it');
    assert.equal(await property('ActiveState', unit('prepare')), 'active');
  });

  it('down leaves machines, down --machines does not', async () => {
    await cenote('down');
    await helloAnswers(host);
    assert.equal(await property('ActiveState', machines), 'active');
    // As long as there is no agent memory is governed all the same, with all the rights that it takes.
    await host.succeed(`until journalctl -u ${standIn} --output=cat | tail -n 1 | grep -q 'governing in its place'; do sleep 1; done`);
    const { stdout: complaints } = await host.run(`journalctl -u ${standIn} --output=cat | grep '"level":50'`);
    assert.equal(complaints, '');
    await bringUp(host);
    await host.succeed(`journalctl -u ${standIn} --output=cat | grep -q 'the agent is there again'`);
    await cenote('down --machines');
    assert.equal(await property('ActiveState', machines), 'inactive');
    assert.equal(await host.succeed(`[ ! -e ${group} ]; pgrep -c conmon || true`), '0');
    await bringUp(host, ['--no-hello']);
    await cenote('start hello');
    await helloAnswers(host);
  });

  it('destroy leaves nothing', async () => {
    await cenote('destroy --yes');
    assert.equal((await host.run(audit)).stdout, '');
    assert.equal(await host.succeed('ls -d /etc/systemd/system/cenote* /run/systemd/system.control/cenote* 2>/dev/null || true'), '');
    assert.equal(await host.succeed('systemctl list-units --all --no-legend "cenote-*"'), '');
  });
});
