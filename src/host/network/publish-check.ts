/** Whether ports of the host are free to be published: not listened on by a program, not published by another instance. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { CenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';
import { NetlinkSocket, netlinkProtocols } from '../../sys/netlink.ts';
import { getElement, listTables, tableNameOf } from '../../sys/nft-messages.ts';
import type { PublishedPort } from '../../model/machine.ts';
import { packetWords } from './packet-words.ts';
import { tableName } from './ruleset.ts';
import { elementOf } from './set-shapes.ts';
import { machineSets } from './table-pieces.ts';

export type ReservedCheck = (publish: PublishedPort[]) => Promise<void>;

export interface PublishCheckOptions {
  instance: string;
  checkReserved?: ReservedCheck | undefined;
}

const { published } = machineSets(packetWords[4]);

export const openPublishCheck =
  ({ instance, checkReserved }: PublishCheckOptions) =>
  async (publish: PublishedPort[]): Promise<void> => {
    if (publish.length === 0) return;
    await checkReserved?.(publish);
    const elsewhere = await publishedElsewhere(instance, publish);
    for (const [index, port] of publish.entries()) {
      const field = `publish[${index}]`;
      if (elsewhere[index] === true) throw taken(field, port, 'is published by another instance of Cenote on this host');
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

/** By messages of our own: to list tables, the library reads whatever is in any of them. */
const publishedElsewhere = async (instance: string, publish: readonly PublishedPort[]): Promise<boolean[]> => {
  using socket = new NetlinkSocket(netlinkProtocols.netfilter);
  const tables = (await socket.dump(listTables())).map(tableNameOf);
  const others = tables.filter((name) => /^cenote-[a-z0-9-]+$/.test(name) && name !== tableName(instance));
  const key = ({ protocol, hostPort }: PublishedPort) => elementOf(published, `${protocol} . ${hostPort}`).key;
  const found = await socket.send(others.flatMap((other) => publish.map((port) => getElement(other, 'published', key(port)))));
  return publish.map((_, index) => found.some(({ errno }, at) => at % publish.length === index && errno === 0));
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
