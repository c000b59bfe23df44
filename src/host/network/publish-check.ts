/** Whether ports of the host are free to be published: not listened on by a program, not published by another instance. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { CenoteError } from '../../base/errors.ts';
import { isErrno } from '../../sys/libc.ts';
import { NetlinkSocket, netlinkProtocols } from '../../sys/netlink.ts';
import { getElement, listTables, tableNameOf } from '../../sys/nft-messages.ts';
import type { PublishedPort } from '../../model/machine.ts';
import type { Family } from '../../model/address.ts';
import { backboneName } from './backbone-ruleset.ts';
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
  async (publish: PublishedPort[], families: readonly Family[]): Promise<void> => {
    if (publish.length === 0) return;
    await checkReserved?.(publish);
    const elsewhere = await publishedElsewhere(instance, publish);
    for (const [index, port] of publish.entries()) {
      const field = `publish[${index}]`;
      if (elsewhere[index] === true) throw taken(field, port, 'is published by another instance of Cenote on this host');
      if (!(await canListen(port, families)))
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
  const own = [instance, backboneName(instance)].map(tableName);
  const others = tables.filter((name) => /^cenote-[a-z0-9-]+$/.test(name) && !own.includes(name));
  const key = ({ protocol, hostPort }: PublishedPort) => elementOf(published, `${protocol} . ${hostPort}`).key;
  const found = await socket.send(others.flatMap((other) => publish.map((port) => getElement(other, 'published', key(port)))));
  return publish.map((_, index) => found.some(({ errno }, at) => at % publish.length === index && errno === 0));
};

/**
 * Listening for an instant finds what /proc would not tell more surely: a program bound to one address, to IPv6 with IPv4
 * mapped, or to another socket option. Nothing accepts in between, and connections that are only passing do not count.
 */
const canListen = async (port: PublishedPort, families: readonly Family[]): Promise<boolean> => {
  for (const family of families) if (!(await canListenBy(port, family))) return false;
  return true;
};

const canListenBy = ({ protocol, hostPort: port }: PublishedPort, family: Family): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const [address, type] = family === 4 ? (['0.0.0.0', 'udp4'] as const) : (['::', 'udp6'] as const);
    const socket = protocol === 'tcp' ? createServer() : createSocket({ type, ipv6Only: family === 6 });
    socket.once('error', (error) => (isErrno(error, 'EADDRINUSE') ? resolve(false) : reject(error)));
    const free = () => socket.close(() => resolve(true));
    if ('listen' in socket) socket.listen({ port, host: address, ipv6Only: family === 6, exclusive: true }, free);
    else socket.bind({ port, address, exclusive: true }, free);
  });
