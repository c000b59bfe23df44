/** Whether ports of the host are free to be published: not listened on by a program, not published by another instance. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { CenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';
import { NftablesError } from '../../sys/nftables.ts';
import type { NftRunner } from '../../sys/nftables.ts';
import type { PublishedPort } from '../../model/machine.ts';
import { tableName } from './ruleset.ts';

export type ReservedCheck = (publish: PublishedPort[]) => Promise<void>;

export interface PublishCheckOptions {
  instance: string;
  nftables: NftRunner;
  checkReserved?: ReservedCheck | undefined;
}

export const openPublishCheck =
  ({ instance, nftables, checkReserved }: PublishCheckOptions) =>
  async (publish: PublishedPort[]): Promise<void> => {
    // Most machines publish nothing, and asking the kernel for its tables takes milliseconds.
    if (publish.length === 0) return;
    await checkReserved?.(publish);
    const others = otherTables(nftables, instance);
    for (const [index, port] of publish.entries()) {
      const field = `publish[${index}]`;
      for (const other of others) if (isPublished(nftables, other, port)) throw taken(field, port, 'is published by another instance of Cenote on this host');
      if (!(await canListen(port)))
        throw taken(
          field,
          port,
          port.hostPort === 53 ? 'is in use, by the resolver for machines or by a program on this host' : 'is in use by a program on this host',
        );
    }
  };

const taken = (field: string, port: PublishedPort, why: string): CenoteError => {
  const message = `${port.protocol} port ${port.hostPort} ${why}`;
  return new CenoteError('in_use', message, { fields: [{ field, message }], advice: 'publish another port' });
};

const otherTables = (nftables: NftRunner, instance: string): string[] =>
  [...nftables.run('list tables inet').matchAll(/^table inet (cenote-[a-z0-9-]+)$/gm)].map((match) => match[1]!).filter((name) => name !== tableName(instance));

const isPublished = (nftables: NftRunner, table: string, port: PublishedPort): boolean => {
  try {
    nftables.run(`get element inet ${table} published { ${port.protocol} . ${port.hostPort} }`);
    return true;
  } catch (error) {
    if (error instanceof NftablesError) return false;
    throw error;
  }
};

/**
 * Listening for an instant finds what /proc would not tell more surely: a program bound to one address, to IPv6 with IPv4
 * mapped, or to another socket option. Nothing accepts in between, and connections that are only passing do not count.
 */
const canListen = (port: PublishedPort): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const socket = port.protocol === 'tcp' ? createServer() : createSocket('udp4');
    socket.once('error', (error) => (isErrno(error, 'EADDRINUSE') ? resolve(false) : reject(error)));
    const free = () => socket.close(() => resolve(true));
    if ('listen' in socket) socket.listen({ port: port.hostPort, host: '0.0.0.0', exclusive: true }, free);
    else socket.bind({ port: port.hostPort, address: '0.0.0.0', exclusive: true }, free);
  });
