/**
 * A server that is asked, a process of its own so that it has a core of its own: the control plane's own DNS with so many machines, a host's
 * resolver that was told of as many, or a server that sends back what it gets, which is what sockets alone cost. Says its port; ends with its parent.
 */
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/base/logger.ts';
import { DnsServer } from '../../src/control/names/server.ts';
import { machineRecords } from '../../src/dns/machine-names.ts';
import type { Told } from '../../src/dns/told.ts';
import { Zone, Zones } from '../../src/dns/zone.ts';
import { externalNetwork } from '../../src/model/nics.ts';
import type { ResolverStatus } from '../../src/model/names-api.ts';
import { startResolver } from '../../src/resolver/start.ts';
import { account, machinesOf, zoneName } from './names.ts';

const [kind = '', address = '', count = ''] = process.argv.slice(2);
const logger = createLogger({ name: 'bench', level: 'error' });
const machines = machinesOf(Number(count), address);

const servers: Readonly<Record<string, () => Promise<number>>> = {
  'control plane': async () => {
    const zone = new Zone({ name: zoneName, servers: [`ns1.${zoneName}`], serial: 1 });
    for (const named of machines) zone.replace(named.id, machineRecords(named, account, zoneName, 'shared'));
    const zones = new Zones();
    zones.add(zone);
    return (await DnsServer.open({ zones, address, port: 0, logger, mayTransfer: () => false })).port;
  },
  resolver: async () => {
    const directory = mkdtempSync(join(tmpdir(), 'cenote-bench-dns-'));
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
    const socketPath = join(directory, 'told.sock');
    await startResolver({ address, port: 0, isMachine: () => true, zone: zoneName, shared: false, socketPath, resolvConfPath: '/dev/null', logger });
    const asker = { id: 'asker', account: account.id, address, asksBy: [externalNetwork], on: [externalNetwork], named: null };
    const told: Told = {
      kind: 'all',
      accounts: [account],
      machines: [asker, ...machines.map((named) => ({ id: named.id, account: named.account, address: named.addresses[0]!.address, named }))],
    };
    return new Promise((resolve) => {
      const teller = connect(socketPath, () => teller.write(`${JSON.stringify(told)}\n`));
      teller.once('data', (data) => resolve((JSON.parse(String(data)) as ResolverStatus).port));
    });
  },
  echo: () => {
    const socket = createSocket('udp4');
    socket.on('message', (message, from) => {
      message[2]! |= 0x80;
      socket.send(message, from.port, from.address);
    });
    return new Promise((resolve) => socket.bind(0, address, () => resolve(socket.address().port)));
  },
};

console.log(await servers[kind]!());
process.stdin.on('end', () => process.exit()).resume();
