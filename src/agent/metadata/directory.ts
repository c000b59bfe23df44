import { join } from 'node:path';
import type { Host } from '../host.ts';

/** On the host, with the socket in it; bound into every machine. */
export const metadataDirectory = (host: Pick<Host, 'runDirectory'>): string => join(host.runDirectory, 'metadata');
