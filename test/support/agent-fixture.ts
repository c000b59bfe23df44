/** The real agent (API, machines, journal, recovery) over a host that is all fakes: no root, no kernel features, no programs. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { Events } from '../../src/agent/events.ts';
import type { Host } from '../../src/agent/host.ts';
import { prepareServer } from '../../src/agent/http/server.ts';
import { Journal } from '../../src/agent/journal.ts';
import type { PoolPlan } from '../../src/agent/pool.ts';
import { FirewallRules } from '../../src/agent/firewall.ts';
import { KnownFloating } from '../../src/agent/floating.ts';
import { KnownNetworks } from '../../src/agent/networks.ts';
import { Machines } from '../../src/agent/machines.ts';
import { MachineNames } from '../../src/agent/names.ts';
import { recover, startAll } from '../../src/agent/recover.ts';
import { noCrash } from '../../src/base/crash-point.ts';
import { createLogger } from '../../src/base/logger.ts';
import { Semaphore } from '../../src/base/semaphore.ts';
import { AgentClient } from '../../src/client/agent.ts';
import { createFakeArchiver } from '../../src/host/archive/fake.ts';
import { FakeCgroups } from '../../src/host/cgroup/fake.ts';
import { createFakeNetwork } from '../../src/host/network/fake.ts';
import type { FakeNetwork } from '../../src/host/network/fake.ts';
import { FakePlatforms } from '../../src/host/platform/fake.ts';
import { plainRoots } from '../../src/host/rootfs/fake.ts';
import { FakeRuntime } from '../../src/host/runtime/fake.ts';
import { FakeSandboxes } from '../../src/host/sandbox/fake.ts';
import { FakeStorage } from '../../src/host/storage/fake.ts';
import { backboneOf } from '../../src/model/backbone.ts';
import type { ImageConfig } from '../../src/model/image.ts';
import { noOvercommit } from '../../src/model/instance.ts';
import type { MachineSpec } from '../../src/model/machine.ts';
import { defaultResources } from '../../src/model/default-resources.ts';
import type { PoolSize } from '../../src/model/resources.ts';

export interface AgentFixture extends AsyncDisposable {
  client: AgentClient;
  runtime: FakeRuntime;
  cgroups: FakeCgroups;
  network: FakeNetwork;
  sandboxes: FakeSandboxes;
  storage: FakeStorage;
  /** A specification that the fixture's image and network can serve. */
  spec(change?: Partial<MachineSpec>): MachineSpec;
  /** The agent goes as if killed and comes back; what runs on the host stays. */
  restart(): Promise<void>;
}

export const agentFixture = async (
  options: { pool?: Omit<PoolSize, 'networkMbps'> & Partial<PoolSize>; config?: ImageConfig; uidRanges?: number } = {},
): Promise<AgentFixture> => {
  const directory = mkdtempSync(join(tmpdir(), 'cenote-agent-'));
  const logger = createLogger({ name: 'test', level: 'silent' });
  const network = createFakeNetwork();
  const runtime = new FakeRuntime();
  const cgroups = new FakeCgroups((machine) => runtime.end(machine, 137));
  const sandboxes = new FakeSandboxes(network, options.uidRanges);
  mkdirSync(join(directory, 'storage'));
  const storage = await FakeStorage.open(join(directory, 'storage'));
  const platforms = new FakePlatforms();
  await platforms.ensureBuiltIn();
  const image = (await platforms.imageList())[0]!;
  const ports = { claim: async () => {}, release: async () => {}, restore: async () => {} };
  const pool = { networkMbps: null, ...(options.pool ?? { cpuMillis: 4000, memoryMib: 8192, diskMib: 100_000 }) };
  const plan = (): PoolPlan => ({
    host: { cpuMillis: pool.cpuMillis + 100, memoryMib: pool.memoryMib + 512 },
    reserve: { cpuMillis: 100, memoryMib: 512 },
    share: { cpuMillis: pool.cpuMillis, memoryMib: pool.memoryMib, diskMib: pool.diskMib },
    overcommit: noOvercommit,
    networkMbps: pool.networkMbps,
  });
  const socketPath = join(directory, 'agent.sock');

  const start = async () => {
    const up = new AsyncDisposableStack();
    const journal = up.use(new Journal(join(directory, 'journal.db')));
    const events = new Events(journal, logger);
    const names = up.use(
      new MachineNames({ socketPath: join(directory, 'told.sock'), zone: 'cenote.internal', backbone: backboneOf(0), journal, logger, onPort: () => {} }),
    );
    const host: Host = {
      archiver: createFakeArchiver(),
      cgroups,
      network,
      platforms,
      runtime,
      sandboxes,
      storage,
      ports,
      journal,
      names,
      events,
      logger,
      roots: plainRoots,
      crash: noCrash,
      startPlaces: new Semaphore(4),
      runDirectory: join(directory, 'run'),
      lxcfs: () => null,
    };
    const machines = new Machines(host, () => pool);
    const networks = new KnownNetworks(network, journal, (definition) => names.leads(definition));
    const firewall = new FirewallRules(network.firewall, journal, logger);
    const { toStart } = await recover(host, machines, networks, firewall);
    names.start();
    const server = up.use(
      await prepareServer({
        host,
        machines,
        networks,
        floating: new KnownFloating(host.network, journal, (id, addresses) => names.floats(id, addresses)),
        firewall,
        socketPath,
        socketGroup: process.getgid!(),
        instance: 'fake',
        burstUsage: () => null,
        startedAt: new Date().toISOString(),
        plan,
        held: () => pool,
      }),
    );
    await server.listen();
    await startAll(host, toStart);
    return up;
  };

  let running = await start();
  let nextAddress = 2;
  return {
    client: new AgentClient(socketPath),
    runtime,
    cgroups,
    network,
    sandboxes,
    storage,
    spec: (change = {}) => ({
      id: randomUUID(),
      account: 'default',
      name: 'web',
      image: { id: image.id, name: image.name },
      platform: { name: 'host', version: 'live' },
      config: options.config ?? {},
      command: ['run'],
      env: {},
      resources: defaultResources,
      address: network.gateway.replace(/\.1$/, `.${nextAddress++}`),
      publish: [],
      restart: { policy: 'never', maxRetries: null },
      tags: {},
      stopGraceSeconds: 1,
      ...change,
    }),
    async restart() {
      await running.disposeAsync();
      running = await start();
    },
    async [Symbol.asyncDispose]() {
      await running.disposeAsync();
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
