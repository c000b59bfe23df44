/** The control plane's parts, as start.ts puts them together and as its actions use them. */
import type { Logger } from '../base/logger.ts';
import type { AgentClient } from '../client/agent.ts';
import type { Store } from '../store/store.ts';
import type { FirewallSync } from './agent/firewall-sync.ts';
import type { Catalog } from './agent/catalog.ts';
import type { AgentLink } from './agent/link.ts';
import type { FloatingSync } from './agent/floating-sync.ts';
import type { NetworkSync } from './agent/network-sync.ts';
import type { Changes } from './app/changes.ts';
import type { EventFeed } from './app/event-feed.ts';
import type { AddressBook } from './app/address-book.ts';
import type { Refusals } from './app/refusals.ts';
import type { JobRunner } from './jobs/runner.ts';
import type { Uploads } from './jobs/uploads.ts';
import type { Names } from './names/names.ts';

export interface Control {
  store: Store;
  agent: AgentClient;
  link: AgentLink;
  catalog: Catalog;
  firewall: FirewallSync;
  names: Names;
  networks: NetworkSync;
  floating: FloatingSync;
  addresses: AddressBook;
  refusals: Refusals;
  jobs: JobRunner;
  uploads: Uploads;
  events: EventFeed;
  changes: Changes;
  logger: Logger;
  version: string;
  startedAt: string;
  /** Where accounts' own clients find it; undefined while it is not served. */
  cloudapi: () => { url: string; fingerprint: string | null } | undefined;
  /** The process is to end, and its keeper to start the next. */
  beginAnew: () => void;
  trace: (step: string) => void;
}
