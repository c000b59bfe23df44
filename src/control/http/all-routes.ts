/** Every route of our own API: the same for whoever calls, from wherever. */
import type { Control } from '../control.ts';
import { accessKeyRoutes } from './access-key-routes.ts';
import { accountRoutes } from './account-routes.ts';
import { backupRoutes } from './backup-routes.ts';
import { dnsRoutes } from './dns-routes.ts';
import { firewallRoutes } from './firewall-routes.ts';
import { floatingRoutes } from './floating-routes.ts';
import { imageRoutes } from './image-routes.ts';
import { machineRoutes } from './machine-routes.ts';
import { networkRoutes } from './network-routes.ts';
import { otherRoutes } from './other-routes.ts';
import { packageRoutes } from './package-routes.ts';
import type { App } from './server.ts';
import { snapshotRoutes } from './snapshot-routes.ts';
import { streamRoutes } from './stream-routes.ts';

const all = [
  machineRoutes,
  streamRoutes,
  snapshotRoutes,
  imageRoutes,
  packageRoutes,
  accountRoutes,
  accessKeyRoutes,
  backupRoutes,
  firewallRoutes,
  networkRoutes,
  floatingRoutes,
  dnsRoutes,
  otherRoutes,
];

export const addRoutes = (app: App, control: Control): void => {
  for (const add of all) add(app, control);
};
