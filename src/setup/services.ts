/** Whoever keeps an instance's services running, systemd or our own supervisor, behind one interface. */
import type { ServiceName } from './service-list.ts';

export interface ServiceManager {
  readonly kind: 'systemd' | 'supervisor';
  /** Starts what does not run; with `restart`, agent and control plane start anew (what machines need does not). */
  start(options: { restart: boolean }): Promise<void>;
  /** Once the agent is there again: who stood in for it meanwhile starts anew, too. */
  renewStandIn(): Promise<void>;
  /** Agent and control plane. What machines need stays; with `machines`, they have been stopped, and nothing of them is to be left running. */
  stop(options: { machines: boolean }): Promise<void>;
  /** Everything, when no machine is left; and its traces outside the root directory. */
  remove(): Promise<void>;
  running(): Promise<Record<ServiceName, boolean>>;
  /** The last lines a service wrote. */
  lastLines(name: ServiceName, count: number): Promise<string[]>;
}
