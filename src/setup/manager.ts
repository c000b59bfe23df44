/** Chooses who keeps services running on this host. */
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { runsSystemd } from './host-view.ts';
import type { ServiceManager } from './services.ts';
import { SupervisedServices } from './supervised.ts';
import { SystemdServices } from './systemd.ts';

export const serviceManager = (instance: string, config: InstanceConfig | null, paths: InstancePaths): ServiceManager =>
  runsSystemd() ? new SystemdServices(instance, config, paths) : new SupervisedServices(config, paths);
