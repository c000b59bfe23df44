import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { CenoteError } from '../../base/errors.ts';
import { openAllotment } from './allotment.ts';
import type { Allotment, HostFacts } from './allotment.ts';
import { addressToNumber, chooseSubnet } from './choose.ts';
import { parseRoutes, parseSubordinateIds } from './host-facts.ts';

const facts = (over: Partial<HostFacts> = {}): HostFacts => ({
  totals: () => ({ cpuMillis: 4000, memoryMib: 8192 }),
  usedAddresses: () => [],
  usedIds: () => [],
  isOnHost: () => false,
  ...over,
});

const setUp = (context: TestContext, over: Partial<HostFacts> = {}) => {
  const base = mkdtempSync(`${tmpdir()}/allotment-`);
  context.after(() => rmSync(base, { recursive: true, force: true }));
  const notices: string[] = [];
  const open = (): Allotment => openAllotment({ directory: `${base}/host`, facts: facts(over), onNotice: (message) => notices.push(message) });
  const root = (name: string): string => {
    mkdirSync(`${base}/${name}`, { recursive: true });
    return `${base}/${name}`;
  };
  return { base, notices, open, root, allotment: open() };
};

const codeIs = (code: string) => (error: unknown) => error instanceof CenoteError && error.code === code;
const tcp = (hostPort: number) => ({ hostPort, machinePort: 80, protocol: 'tcp' as const });

describe('the allotment of a host', () => {
  it('is taken up while the last instance that has it leaves', async (context) => {
    const { open, root } = setUp(context);
    const allotment = open();
    await allotment.register({ root: root('old') });
    const leaving = Promise.withResolvers<void>();
    const left = allotment.unregister(root('old'), () => leaving.promise);
    // These wait for the lock in a directory that is removed under them.
    const comers = ['one', 'two', 'three'].map((name) => open().register({ root: root(name) }));
    setTimeout(leaving.resolve, 50);
    const [, ...made] = await Promise.all([left, ...comers]);
    assert.deepEqual(
      allotment
        .list()
        .map(({ instance }) => instance)
        .toSorted(),
      made.map(({ instance }) => instance).toSorted(),
    );
  });

  it('gives every instance a name, number, subnet and ids of its own, and the same again', async (context) => {
    const { allotment, root } = setUp(context);
    const a = await allotment.register({ root: root('One') });
    const b = await allotment.register({ root: root('x/one') });
    assert.equal(a.instance, 'one');
    assert.match(b.instance, /^[a-z0-9]{12}$/);
    assert.deepEqual([a.number, b.number, a.subnet, b.subnet], [0, 1, '10.64.0.0/16', '10.65.0.0/16']);
    assert.notEqual(a.uidBlocks[0], b.uidBlocks[0]);
    assert.deepEqual(await allotment.register({ root: a.root }), a);
  });

  it('keeps apart what many ask for at once', async (context) => {
    const { open, root } = setUp(context);
    const made = await Promise.all(Array.from({ length: 8 }, (_, index) => open().register({ root: root(`i${index}`), cpuMillis: 100, memoryMib: 64 })));
    for (const key of ['instance', 'number', 'subnet'] as const) assert.equal(new Set(made.map((one) => one[key])).size, 8);
    assert.equal(new Set(made.flatMap(({ uidBlocks }) => uidBlocks)).size, 8);
  });

  it('passes over addresses and ids that others use', async (context) => {
    const { allotment, root } = setUp(context, {
      usedAddresses: () => [{ first: addressToNumber('10.64.5.1'), mask: addressToNumber('255.255.255.0') }],
      usedIds: () => [{ first: 0x2000_0000 - 10, count: 11 }],
    });
    const made = await allotment.register({ root: root('a') });
    assert.equal(made.subnet, '10.65.0.0/16');
    assert.deepEqual(made.uidBlocks, [0x2400_0000]);
    assert.equal(await allotment.claimUidBlock(made.instance), 0x2800_0000);
    assert.deepEqual(allotment.find(made.root)?.uidBlocks, [0x2400_0000, 0x2800_0000]);
  });

  it('never gives more CPU or memory than the host has', async (context) => {
    const { allotment, root } = setUp(context);
    const a = await allotment.register({ root: root('a'), cpuMillis: 3000, memoryMib: 4096 });
    assert.deepEqual(allotment.share(a.instance), { cpuMillis: 3000, memoryMib: 4096 });
    await assert.rejects(
      allotment.register({ root: root('b'), cpuMillis: 2000 }),
      (error) => codeIs('not_enough')(error) && /2 cores CPU asked for, 0\.8 cores free/.test((error as Error).message),
    );
    const b = await allotment.register({ root: root('b') });
    assert.deepEqual(b.share, { cpuMillis: 200, memoryMib: 921 });
    await allotment.register({ root: a.root, cpuMillis: 1000 });
    assert.deepEqual(allotment.share(a.instance), { cpuMillis: 1000, memoryMib: 4096 });
  });

  it('has a share as it was, and one that came not at all, when it is put back', async (context) => {
    const { allotment, root } = setUp(context);
    const a = await allotment.register({ root: root('a'), cpuMillis: 300, memoryMib: 1024 });
    const former = allotment.find(a.root);
    await allotment.register({ root: a.root, cpuMillis: 100, memoryMib: 512 });
    await allotment.putBack(a.root, former);
    assert.deepEqual(allotment.find(a.root), a);
    const b = await allotment.register({ root: root('b') });
    await allotment.putBack(b.root, null);
    assert.deepEqual(allotment.list(), [a]);
  });

  it('gives a published port to one machine of one instance', async (context) => {
    const { allotment, root } = setUp(context);
    const a = await allotment.register({ root: root('a') });
    const b = await allotment.register({ root: root('b') });
    await allotment.claimPorts(a.instance, 'm1', [tcp(8080), tcp(8081)]);
    await allotment.claimPorts(a.instance, 'm1', [tcp(8080)]);
    assert.equal(allotment.portHolder(tcp(8081)), null);
    await assert.rejects(allotment.claimPorts(b.instance, 'm2', [tcp(9000), tcp(8080)]), codeIs('in_use'));
    assert.equal(allotment.portHolder(tcp(9000)), null);
    assert.deepEqual(await allotment.restorePorts(b.instance, [{ machine: 'm2', ports: [tcp(8080), tcp(9000)] }]), [{ machine: 'm2', port: tcp(8080) }]);
    await allotment.releasePorts(a.instance, 'm1');
    await allotment.claimPorts(b.instance, 'm2', [tcp(8080)]);
    assert.deepEqual(allotment.portHolder(tcp(8080)), { instance: 'b', machine: 'm2' });
  });

  it('undoes a change to the host when the last who needs it goes, and leaves nothing', async (context) => {
    const { allotment, base, root } = setUp(context);
    const a = await allotment.register({ root: root('a') });
    const b = await allotment.register({ root: root('b') });
    await allotment.noteChange(a.instance, [{ key: 'sysctl:x', former: '1' }]);
    await allotment.noteChange(b.instance, [
      { key: 'sysctl:x', former: '2' },
      { key: 'sysctl:y', former: '3' },
    ]);
    const undone: unknown[] = [];
    const undo = async (changes: unknown[]): Promise<void> => void undone.push(...changes);
    await allotment.unregister(a.root, undo);
    assert.deepEqual(undone, []);
    await allotment.unregister(b.root, undo);
    assert.deepEqual(undone, [
      { key: 'sysctl:x', former: '1' },
      { key: 'sysctl:y', former: '3' },
    ]);
    assert.equal(existsSync(`${base}/host`), false);
    await allotment.unregister(b.root, undo);
  });

  it('takes back what an instance had whose directory is gone, and says so', async (context) => {
    const { allotment, notices, root } = setUp(context);
    const a = await allotment.register({ root: root('a') });
    await allotment.claimPorts(a.instance, 'm', [tcp(80)]);
    rmSync(a.root, { recursive: true });
    const b = await allotment.register({ root: root('b') });
    assert.equal(b.number, 0);
    assert.equal(allotment.portHolder(tcp(80)), null);
    assert.match(notices.join(), /instance "a" is forgotten/);
  });

  it('keeps what an instance has whose machines are still there, though its directory is not to be seen', async (context) => {
    const { allotment, notices, root } = setUp(context, { isOnHost: (instance) => instance === 'a' });
    const a = await allotment.register({ root: root('a') });
    await allotment.claimPorts(a.instance, 'm', [tcp(80)]);
    rmSync(a.root, { recursive: true });
    const b = await allotment.register({ root: root('b') });
    assert.equal(b.number, 1);
    assert.notEqual(allotment.portHolder(tcp(80)), null);
    assert.match(notices.join(), /instance "a" is on this host, but not its directory/);
  });

  it('refuses a damaged record and gets over damaged ports', async (context) => {
    const { allotment, root } = setUp(context);
    const a = await allotment.register({ root: root('a') });
    writeFileSync(`${allotment.directory}/ports.json`, '{"tcp/80":');
    await allotment.claimPorts(a.instance, 'm', [tcp(80)]);
    writeFileSync(`${allotment.directory}/allotment.json`, '');
    await assert.rejects(allotment.register({ root: root('b') }), codeIs('failed'));
  });
});

describe('facts of a host', () => {
  it('reads routes and subordinate ids', () => {
    const routes =
      'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\neth0\t00000000\t010200C0\t3\t0\t0\t0\t00000000\t0\neth0\t000200C0\t00000000\t1\t0\t0\t0\t00FFFFFF\t0\n';
    assert.deepEqual(parseRoutes(routes), [{ first: addressToNumber('192.0.2.0'), mask: addressToNumber('255.255.255.0') }]);
    assert.deepEqual(parseSubordinateIds('# x\nann:100000:65536\nbad line\n'), [{ first: 100_000, count: 65_536 }]);
  });

  it('reads anything without failing', () => {
    fc.assert(fc.property(fc.string(), (text) => void [parseRoutes(text), parseSubordinateIds(text)]));
  });

  it('never chooses a subnet that overlaps a used one', () => {
    const used = fc.record({ first: fc.integer({ min: 0x0a00_0000, max: 0x0aff_ffff }), bits: fc.integer({ min: 9, max: 32 }) });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 63 }), fc.array(used, { maxLength: 40 }), (number, ranges) => {
        const masks = ranges.map(({ first, bits }) => ({ first, mask: (0xffff_ffff << (32 - bits)) >>> 0 }));
        const first = addressToNumber(chooseSubnet(number, new Set(), masks).split('/')[0]!);
        for (const range of masks) {
          const mask = (range.mask & 0xffff_0000) >>> 0;
          assert.notEqual((first & mask) >>> 0, (range.first & mask) >>> 0);
        }
      }),
    );
  });
});
