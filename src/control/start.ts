/** Starts the control plane: puts its parts together in order, and takes them apart in the reverse. */
import { chmod, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../base/logger.ts';
import { CenoteError, messageChain } from '../base/errors.ts';
import { AgentClient } from '../client/agent.ts';
import { Store } from '../store/store.ts';
import { UserNames } from '../sys/peer.ts';
import { Catalog } from './agent/catalog.ts';
import { FirewallSync } from './agent/firewall-sync.ts';
import { AgentLink } from './agent/link.ts';
import { FloatingSync } from './agent/floating-sync.ts';
import { NetworkSync } from './agent/network-sync.ts';
import { Touched } from './agent/touched.ts';
import { endUploads } from './app/account-image.ts';
import { Changes } from './app/changes.ts';
import { EventFeed } from './app/event-feed.ts';
import { AddressBook } from './app/address-book.ts';
import { Refusals } from './app/refusals.ts';
import { startCloudApi } from './cloudapi/start.ts';
import type { CloudApiOptions, RunningCloudApi } from './cloudapi/start.ts';
import type { Control } from './control.ts';
import { Doorman } from './doorman.ts';
import { addRoutes } from './http/all-routes.ts';
import { Callers } from './http/caller.ts';
import { serveExec } from './http/exec.ts';
import { createServer } from './http/server.ts';
import type { Route } from './http/server.ts';
import { JobRunner } from './jobs/runner.ts';
import { Uploads } from './jobs/uploads.ts';
import { Names } from './names/names.ts';
import type { NamesOptions } from './names/names.ts';
import { Wake } from './wake.ts';

export interface ControlOptions {
  root: string;
  socketPath: string;
  agentSocketPath: string;
  /** The store's: path of an SQLite file, or URL of a PostgreSQL database. */
  database: string;
  /** Members of these groups are administrators, as root is. */
  adminGids: readonly number[];
  logger: Logger;
  version?: string;
  /** Absent: accounts' own clients are not served. */
  cloudapi?: CloudApiOptions;
  /** Absent: names end with `cenote.internal`, and nobody but machines is told. */
  names?: NamesOptions;
  /** How long an action waits for an agent that is away. */
  agentDeadlineMs?: number;
  /** Actions at once, on different machines. */
  atOnce?: number;
  /** Ends this control plane and starts the next: the store holds something else than what it knows. */
  beginAnew: () => void;
  /** Steps by name; tests end the process at one. */
  trace?: (step: string) => void;
}

export interface RunningControl extends AsyncDisposable {
  routes: readonly Route[];
  /** Those on CloudAPI's port, for accounts. */
  accountRoutes(): readonly Route[];
}

const defaults = { agentDeadlineMs: 600_000, atOnce: 16, changingAtOnce: 32, waitingAtOnce: 256 };

const firstDelayMs = 100;
const longestDelayMs = 2000;

/** Resolves once it serves. As long as the store cannot be used, whoever comes is told so, and it is tried again. */
export const startControl = async (options: ControlOptions): Promise<RunningControl> => {
  const { logger, socketPath, cloudapi } = options;
  await refuseSecond(socketPath);
  let doorman: Doorman | undefined;
  const leave = async (): Promise<void> => {
    await doorman?.[Symbol.asyncDispose]();
    doorman = undefined;
  };
  for (let delay = firstDelayMs; ; delay = Math.min(delay * 2, longestDelayMs)) {
    try {
      return await start(options, leave);
    } catch (error) {
      if (!(error instanceof CenoteError) || error.code !== 'unavailable') {
        await leave();
        throw error;
      }
      if (doorman === undefined) {
        logger.error({ error: messageChain(error) }, 'the control plane waits for its store');
        await rm(socketPath, { force: true });
        doorman = await Doorman.post({ socketPath, directory: dirname(socketPath), cloudapi, logger }, error);
      }
      doorman.tell(error);
      await sleep(delay);
    }
  }
};

/** `atDoor` is called when it is about to listen. */
const start = async (options: ControlOptions, atDoor: () => Promise<void>): Promise<RunningControl> => {
  const { logger, socketPath } = options;
  const trace = options.trace ?? (() => undefined);
  await using stack = new AsyncDisposableStack();
  const stopping = new AbortController();
  const store = stack.use(await Store.open(options.database));
  const agent = stack.use(new AgentClient(options.agentSocketPath));
  const catalog = new Catalog(agent);
  const addresses = new AddressBook();
  const touched = new Touched();
  const changes = new Changes();
  const reachable = new Wake();
  const networks = new NetworkSync(store, agent);
  const floating = new FloatingSync(store, agent);
  const uploads = new Uploads();
  const events = new EventFeed(store, logger, stopping.signal);
  const refusals = new Refusals(store, logger, () => events.notify());
  const jobs = stack.use(
    new JobRunner({
      store,
      agent,
      logger,
      reachable,
      answering: () => link.answering,
      trace,
      deadlineMs: options.agentDeadlineMs ?? defaults.agentDeadlineMs,
      atOnce: options.atOnce ?? defaults.atOnce,
      changingAtOnce: defaults.changingAtOnce,
      waitingAtOnce: defaults.waitingAtOnce,
      touched,
      uploads,
      introduce: (ids, again, signal) => networks.introduce(ids, again, signal),
      onFinished: ({ job }) => {
        if (job.action === 'image.create') catalog.invalidate();
        events.notify();
        changes.tell(job.machine);
      },
    }),
  );
  const link = stack.use(
    new AgentLink({
      store,
      agent,
      catalog,
      networks,
      floating,
      touched,
      logger,
      reachable,
      onEvents: () => events.notify(),
      onRefreshed: (machine) => changes.tell(machine),
    }),
  );
  const firewall = stack.use(new FirewallSync({ store, agent, logger, reachable, inStep: () => link.inStep }));
  const names = stack.use(new Names(options.names ?? { zone: 'cenote.internal' }, { store, agent, changes, logger, reachable, inStep: () => link.inStep }));
  const control: Control = {
    store,
    agent,
    names,
    link,
    catalog,
    firewall,
    networks,
    floating,
    addresses,
    refusals,
    jobs,
    uploads,
    events,
    changes,
    logger,
    trace,
    beginAnew: options.beginAnew,
    version: options.version ?? '0.1.0',
    startedAt: new Date().toISOString(),
    cloudapi: () => cloudapi,
  };
  let cloudapi: RunningCloudApi | undefined;
  // Unfinished jobs are known before the store is compared with the host, and nobody is served before both.
  await link.start();
  await jobs.resume();
  if (link.inStep) await endUploads(control);
  firewall.start();
  await names.start();
  store.onRecovered = () => {
    logger.info('the store takes transactions again');
    Promise.all([jobs.resume(), link.compare()]).then(
      () => reachable.notify(),
      (error: unknown) => logger.warn({ error: messageChain(error) }, 'what the store missed is looked for again'),
    );
  };

  const routes: Route[] = [];
  const callers = new Callers(options.adminGids, new UserNames());
  const app = createServer(logger, callers, routes);
  addRoutes(app, control);
  await app.ready();
  await atDoor();
  await rm(socketPath, { force: true });
  // Room for a burst of callers; the kernel's own bound is below it.
  await app.listen({ path: socketPath, backlog: 4096 });
  stack.defer(async () => {
    stopping.abort();
    await app.close();
    await rm(socketPath, { force: true });
  });
  stack.use(serveExec(app.server, control, callers));
  if (options.cloudapi !== undefined) cloudapi = stack.use(await tryCloudApi(control, dirname(socketPath), options.cloudapi));
  // Anyone may connect, so that who may not is told so; who it is the kernel says.
  await chmod(socketPath, 0o666);
  logger.info({ socketPath, store: store.shown }, 'control plane serves');
  const running = stack.move();
  return { routes, accountRoutes: () => cloudapi?.routes ?? [], [Symbol.asyncDispose]: () => running.disposeAsync() };
};

/** A port that is taken keeps nobody from the unix socket. */
const tryCloudApi = (control: Control, directory: string, options: CloudApiOptions): Promise<RunningCloudApi | undefined> =>
  startCloudApi(control, directory, options).catch((error: unknown) => {
    control.logger.error({ address: options.address, port: options.port, error: messageChain(error) }, 'CloudAPI is not served');
    return undefined;
  });

/** A socket file that nobody listens on is what a killed process left. */
const refuseSecond = async (socketPath: string): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(socketPath, () => resolve(true));
  socket.on('error', () => resolve(false));
  const served = await promise;
  socket.destroy();
  if (served) throw new CenoteError('in_use', `another control plane serves on ${socketPath}`);
};
