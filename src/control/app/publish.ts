/** Published ports within one request; against other machines the store's claims decide. */
import { invalid } from '../../base/errors.ts';
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
