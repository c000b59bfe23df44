/** Whether packets are sent on: by the host, and by the namespaces that are routers. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Family } from '../../model/address.ts';

const paths: Readonly<Record<Family, string>> = { 4: '/proc/sys/net/ipv4/ip_forward', 6: '/proc/sys/net/ipv6/conf/all/forwarding' };
/** Kernels before 6.3 count routes of IPv6, one for each processor too, and have room for those of a small host. */
const mostRoutesPath = '/proc/sys/net/ipv6/route/max_size';
const mostRoutes = 1_048_576;

/** Of IPv4, host-wide, and left on: set-up remembers what it was. Not written when it is on, because writing resets other settings of every link. */
export const enableForwarding = (): void => {
  if (readFileSync(paths[4], 'latin1').trim() !== '1') writeFileSync(paths[4], '1');
};

/** Of IPv6 it is the host's own to decide: one that forwards learns no router of its own any more. */
export const forwards6 = (): boolean => existsSync(paths[6]) && readFileSync(paths[6], 'latin1').trim() !== '0';

/** Of the namespace that this thread is in, which is nothing but a router. */
export const startForwarding = (family: Family): void => {
  writeFileSync(paths[family], '1');
  if (family === 6 && existsSync(mostRoutesPath)) writeFileSync(mostRoutesPath, String(mostRoutes));
};
