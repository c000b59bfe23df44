/** Builds the agent: the order in which things come up is the order of this file, and they go down in reverse. */
import { mkdirSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../base/logger.ts';
import { messageChain } from '../base/errors.ts';
import { Semaphore } from '../base/semaphore.ts';
import { bytesOfMib } from '../base/units.ts';
import { openAllotment } from '../host/allotment/allotment.ts';
import { createArchiver } from '../host/archive/archiver.ts';
import { findParent } from '../host/cgroup/parent.ts';
import { keepTreeOptions } from '../host/cgroup/tree-options.ts';
import { openCgroups, openPoolControls } from '../host/cgroup/open.ts';
import { AgentTurn } from '../host/cgroup/turn.ts';
import { hostGoesDown } from '../host/init/systemd.ts';
import { openNetwork } from '../host/network/open.ts';
import { openPlatforms } from '../host/platform/open-platforms.ts';
import { overlayRoots } from '../host/rootfs/rootfs.ts';
import { openRuntime } from '../host/runtime/crun.ts';
import { openRunDirectory } from '../host/runtime/run-directory.ts';
import { defaultProfilePath, loadSeccomp } from '../host/runtime/seccomp.ts';
import { capabilities } from '../host/runtime/specification.ts';
import { openSandboxes } from '../host/sandbox/pool.ts';
import { openStorage } from '../host/storage/open.ts';
import { backboneOf } from '../model/backbone.ts';
import { dnsZone, lxcfsPidPath, noOvercommit, runDirectoryOf, shapedUplinks } from '../model/instance.ts';
import type { AgentConfig } from './config.ts';
import { Events } from './events.ts';
import { FirewallRules } from './firewall.ts';
import { KnownFloating } from './floating.ts';
import { startGovernor } from './governor/start.ts';
import { onLate } from './governor/turns.ts';
import type { Host } from './host.ts';
import { Journal } from './journal.ts';
import { Machines } from './machines.ts';
import { MetadataServer } from './metadata/metadata.ts';
import { MachineNames } from './names.ts';
import { KnownNetworks } from './networks.ts';
import { poolSize } from './pool.ts';
import type { PoolBasis, PoolPlan } from './pool.ts';
import { PoolShare } from './pool-share.ts';
import { portRegister } from './ports.ts';
import { haltForShutdown, limitAsRecorded, recover, startAll, stopAll } from './recover.ts';
import { prepareServer } from './http/server.ts';
import { keepLxcfs, serves } from './lxcfs.ts';

const readySandboxes = 24;
const startsPerCore = 4;

export const startAgent = async (config: AgentConfig, logger: Logger): Promise<AsyncDisposable> => {
  const { instance, paths } = config;
  const startedAt = new Date().toISOString();
  const runDirectory = runDirectoryOf(instance.instance);
  for (const directory of [paths.agent, paths.run]) mkdirSync(directory, { recursive: true, mode: 0o711 });
  await using up = new AsyncDisposableStack();
  up.use(await openRunDirectory(runDirectory));
  const allotment = openAllotment();
  const journal = up.use(new Journal(paths.agentJournal, config.crash));
  const events = new Events(journal, logger);
  const storage = up.adopt(
    await openStorage({
      root: paths.root,
      driver: instance.storage.driver,
      sizeMib: instance.storage.poolSizeMib,
      device: instance.storage.device ?? undefined,
      logger,
    }),
    (opened) => opened.close(),
  );
  const uidBlocks = allotment.find(paths.root)?.uidBlocks ?? instance.uidBlocks;
  const share = () => allotment.share(instance.instance);
  const atStart = share();
  const parent = await findParent(instance.instance);
  const cgroups = up.adopt(await openCgroups({ parent, pool: atStart, disk: storage.device, logger }), (opened) => opened.close());
  const network = up.adopt(
    await openNetwork({
      instance: instance.instance,
      instanceNumber: instance.number,
      subnet: instance.subnet,
      uplinks: shapedUplinks(instance),
      logger,
      crash: config.crash,
    }),
    (opened) => opened.close({ remove: false }),
  );
  const runtime = up.adopt(
    openRuntime({
      runDirectory,
      logDirectory: join(paths.agent, 'logs'),
      seccomp: loadSeccomp(defaultProfilePath, capabilities),
      admitMonitor: (pid) => cgroups.admitMonitor(pid),
      logger,
    }),
    (opened) => opened.close(),
  );
  const sandboxes = up.adopt(
    openSandboxes({ uidBlocks, claimBlock: () => allotment.claimUidBlock(instance.instance), network, size: readySandboxes, logger }),
    (opened) => opened.close(),
  );
  const archiver = createArchiver({ logger });
  const inUse = (key: string) => machines.usersOf(key);
  const { overcommit = noOvercommit, networkMbps = null } = instance;
  const leftMib = () => storage.promisableMib - machines.guaranteed.diskMib / overcommit.disk;
  const platforms = await openPlatforms({ storage, archiver, nodePath: process.execPath, logger, inUse, leftMib });
  const lxcfs = { mountPoint: paths.lxcfs, pidFile: lxcfsPidPath(paths) };
  const names = up.use(
    new MachineNames({
      socketPath: paths.resolverSocket,
      zone: dnsZone(instance),
      backbone: backboneOf(instance.number),
      journal,
      logger,
      onPort: (port) => network.resolverAt(port),
    }),
  );
  const host: Host = {
    archiver,
    cgroups,
    network,
    platforms,
    roots: overlayRoots,
    runtime,
    sandboxes,
    storage,
    ports: portRegister(allotment, instance.instance, logger),
    journal,
    names,
    events,
    logger,
    crash: config.crash,
    startPlaces: new Semaphore(startsPerCore * availableParallelism()),
    runDirectory,
    lxcfs: () => (serves(lxcfs) ? lxcfs.mountPoint : null),
  };
  const poolShare = up.use(new PoolShare(share, cgroups, atStart));
  const basis = (): PoolBasis => ({ share: { ...poolShare.promisable, diskMib: storage.promisableMib }, overcommit, networkMbps });
  const plan = (): PoolPlan => {
    const { totals, reserve } = allotment.host();
    return { host: totals, reserve, ...basis() };
  };
  // Asked for each request: what the host has in all is read from the kernel, and not needed for it.
  const machines = new Machines(host, () => poolSize(basis()));
  await platforms.ensureBuiltIn();
  const firewall = new FirewallRules(network.firewall, journal, logger);
  const networks = new KnownNetworks(network, journal, (definition) => names.leads(definition));
  const floating = new KnownFloating(network, journal, (id, addresses) => {
    names.floats(id, addresses);
    machines.find(id)?.tellNames();
  });
  await floating.restore();
  const recovered = await recover(host, machines, networks, firewall);
  for (const machine of machines.all()) machine.tellNames();
  names.start();
  up.use(await MetadataServer.start(host, machines, instance.instance));
  const server = await prepareServer({
    host,
    machines,
    networks,
    floating,
    firewall,
    socketPath: paths.agentSocket,
    socketGroup: instance.user.gid,
    instance: instance.instance,
    burstUsage: (machine) => governing.burstUsage(machine),
    startedAt,
    plan,
    held: () => poolShare.held,
  });
  // A killed process would keep nothing of what it compiled; with new code that is half a second of work.
  flushCompileCache();
  // Not before all that would keep the governor up; and before anybody can ask for other limits.
  const turn = up.use(await AgentTurn.take({ directory: paths.agent, runDirectory }, onLate(logger)));
  const governing = up.use(startGovernor(openPoolControls({ parent }), () => bytesOfMib(poolShare.wanted.memoryMib), machines, events, journal, turn, logger));
  up.use(server);
  await server.listen();
  logger.info({ adopted: recovered.adopted.length, starting: recovered.toStart.length, socket: paths.agentSocket }, 'agent is ready');
  config.crash.ready();
  up.use(keepLxcfs(lxcfs, machines, logger));
  up.use(keepTreeOptions((key) => allotment.changes()[key]?.former ?? null, logger));
  void limitAsRecorded(host, recovered.adopted);
  poolShare.follow(host, machines);
  void stopAll(host, recovered.toStop);
  startAll(host, recovered.toStart).catch((error: unknown) => logger.error({ error: messageChain(error) }, 'not all machines came back'));
  const held = up.move();
  return {
    [Symbol.asyncDispose]: async () => {
      if (await hostGoesDown()) await haltForShutdown(host, machines);
      await held.disposeAsync();
    },
  };
};
