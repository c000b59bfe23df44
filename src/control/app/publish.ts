/** Published ports within one request; against other machines the store's claims decide. */
import { invalid } from '../../base/errors.ts';
import { familyOf } from '../../model/address.ts';
import type { PublishedPort } from '../../model/machine.ts';

export const checkPublish = (publish: PublishedPort[]): PublishedPort[] => {
  const seen = new Set<string>();
  for (const [index, { hostPort, protocol }] of publish.entries()) {
    const port = `${hostPort}/${protocol}`;
    if (seen.has(port)) throw invalid(`publish.${index}.hostPort`, `host port ${port} is named twice`);
    seen.add(port);
  }
  return publish;
};

/** `address` is, or is to be, that of the primary NIC, at which ports are published. */
export const refusePublished = (field: string, publish: readonly PublishedPort[], address: string): void => {
  if (publish.length === 0 || familyOf(address) === 4) return;
  throw invalid(field, `ports are published on IPv4, and ${address} is the primary address`, 'let the primary network be one of IPv4');
};
