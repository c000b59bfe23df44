/** A machine's size on the real kernel: what is asked for is what the kernel has, live, wholly or not at all, and nobody is hurt by it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { run } from '../../src/exec/run.ts';
import type { AgentInfo } from '../../src/model/agent-api.ts';
import type { ControlInfo, Machine } from '../../src/model/control-api.ts';
import { skipInstance, startInstance } from '../support/instance.ts';
import type { TestInstance } from '../support/instance.ts';
import { KernelNumbers } from '../support/kernel-numbers.ts';
import { random } from '../support/random.ts';
import { seed } from '../support/seed.ts';

describe('resources of a machine', { skip: skipInstance }, () => {
  let cenote: TestInstance;
  let agent: AgentInfo;
  let kernel: KernelNumbers;
  before(async () => {
    cenote = await startInstance({ poolSizeMib: 1024 });
    agent = (await cenote.json<ControlInfo>('info')).agent!;
    kernel = new KernelNumbers(cenote, agent);
  });
  after(async () => assert.deepEqual((await cenote?.destroy()) ?? [], []));

  const agrees = async (machine: Machine): Promise<void> => {
    assert.deepEqual({ ...machine.resources, ...kernel.of(machine.id) }, machine.resources);
    assert.ok(kernel.quotas().includes(machine.resources.diskMib), `${kernel.quotas().join(', ')} without ${machine.resources.diskMib}`);
  };

  it('become the numbers of the kernel, whatever they are changed to, and its processes stay', async () => {
    await cenote.must('create', 'walk', '--disk', '64M', '--', 'sleep', '1000');
    const { id } = await cenote.json<Machine>('get', 'walk');
    const pids = kernel.pids(id);
    const pick = random(seed);
    const between = (least: number, most: number) => least + pick(most - least + 1);
    const orNone = (text: string) => (pick(10) < 3 ? 'none' : text);
    for (let round = 0; round < 25; round++) {
      const sizes = ['--cpu', String(between(1, 8) / 100), '--memory', `${between(8, 64)}M`, '--disk', `${between(32, 128)}M`, '--net', String(between(0, 9))];
      const ceilings = ['--cpu-ceiling', orNone(String(between(20, 300) / 100)), '--memory-ceiling', orNone(`${between(64, 512)}M`)];
      const others = ['--processes', String(between(10, 500)), '--net-ceiling', orNone(String(between(9, 9000)))];
      const weight = kernel.unsupported.has('ioWeight') ? [] : ['--io-weight', String(between(1, 1000))];
      const reads = kernel.unsupported.has('ioReadMibps')
        ? []
        : ['--io-read', orNone(`${between(1, 500)}M`), '--io-read-ops', orNone(String(between(10, 5000)))];
      const flags = [...sizes, ...ceilings, ...others, ...weight, ...reads];
      const { machine } = await cenote.json<{ machine: Machine }>('resize', 'walk', ...flags);
      await agrees(machine).catch((cause: unknown) => {
        throw new Error(`seed ${seed}, round ${round}: ${flags.join(' ')}`, { cause });
      });
      const score = Math.round(900 - (machine.resources.memoryMib / agent.pool.memoryMib) * 1000);
      assert.deepEqual(kernel.oomScores(id), Array<number>(pids.length).fill(score), `seed ${seed}, round ${round}`);
      const shaped = /qdisc tbf/.test(await run('ip', ['-details', 'link', 'show', 'type', 'veth', 'up']));
      if (machine.resources.networkCeilingMbps !== null) assert.ok(shaped, `seed ${seed}, round ${round}: no ceiling on the link`);
    }
    assert.deepEqual(kernel.pids(id), pids);
    await cenote.must('delete', 'walk');
  });

  it('a memory shrink gives back caches, and refuses with the floor what the machine needs: nothing changes then', async () => {
    const script = `globalThis.kept = Buffer.alloc(120 * 2 ** 20, 1); require('node:fs').writeFileSync('/ready', '.'); setInterval(() => {}, 1000);`;
    await cenote.must('create', 'needy', '--image', 'node', '--disk', '256M', '--memory', '32M', '--memory-ceiling', '400M', '--', 'node', '-e', script);
    await cenote.until('needy', ['test', '-s', '/ready']);
    await cenote.must('exec', 'needy', '--', 'dd', 'if=/dev/zero', 'of=/cache', 'bs=1M', 'count=150', 'conv=fsync');
    const machine = await cenote.json<Machine>('get', 'needy');
    const pids = kernel.pids(machine.id);
    const said = await cenote.refused('resize', 'needy', '--memory-ceiling', '64M', '--cpu', '0.05', '--processes', '50', '--disk', '300M');
    const floor = Number(/memory cannot be brought below (\d+)M, which the machine uses now; 64M was asked for/.exec(said)?.[1]);
    assert.ok(floor > 120 && floor < 230, said);
    assert.deepEqual((await cenote.json<Machine>('get', 'needy')).resources, machine.resources);
    await agrees(machine);
    const { machine: shrunk } = await cenote.json<{ machine: Machine }>('resize', 'needy', '--memory-ceiling', '230M');
    await agrees(shrunk);
    assert.deepEqual(kernel.pids(machine.id), pids, 'nobody was killed or restarted');
    await cenote.must('delete', 'needy');
  });

  it('what this host cannot honour is refused with the reason before there is a machine', async (test) => {
    for (const { field, reason } of agent.unsupported) test.diagnostic(`${field}: ${reason}`);
    const flags: Record<string, string[]> = { ioWriteMibps: ['--io-write', '5M'], ioWriteIops: ['--io-write-ops', '5'], ioWeight: ['--io-weight', '5'] };
    for (const { field, reason } of agent.unsupported) {
      const said = await cenote.refused('create', 'never', ...(flags[field] ?? ['--io-read', '5M']), '--', 'sleep', '1');
      assert.ok(said.includes(reason.slice(0, 40)), said);
    }
    assert.deepEqual(await cenote.json<Machine[]>('ls'), []);
  });

  it('a limit on reads holds', async (test) => {
    if (kernel.unsupported.has('ioReadMibps')) return test.skip('this host has none');
    await cenote.must('create', 'reader', '--disk', '128M', '--io-read', '8M', '--', 'sleep', '1000');
    await cenote.must('exec', 'reader', '--', 'dd', 'if=/dev/zero', 'of=/data', 'bs=1M', 'count=24', 'conv=fsync');
    // Past the page cache; slower than the limit a busy host may be, faster never.
    const begun = performance.now();
    await cenote.must('exec', 'reader', '--', 'dd', 'if=/data', 'of=/dev/null', 'bs=1M', 'iflag=direct');
    const seconds = (performance.now() - begun) / 1000;
    assert.ok(24 / seconds < 8 * 1.25, `${24 / seconds} MiB/s at a limit of 8`);
    await cenote.must('delete', 'reader');
  });
});
