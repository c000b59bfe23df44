/**
 * The resolver's process: `node src/resolver/main.ts --subnet CIDR --backbone CIDR --zone ZONE --told SOCKET [--shared]`. It is told what it must know and
 * reads no configuration: it needs no right to any file, and half the memory.
 */
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { createLogger } from '../base/logger.ts';
import { messageChain } from '../base/errors.ts';
import { isMachineAddress, parseSubnet } from '../model/subnet.ts';
import { startResolver } from './start.ts';

const text = { type: 'string', default: '' } as const;
const logger = createLogger({ name: 'resolver', level: 'info' });
try {
  const { values } = parseArgs({ options: { subnet: text, backbone: text, zone: text, told: text, shared: { type: 'boolean', default: false } } });
  const subnet = parseSubnet('subnet', values.subnet);
  // Units of before IPv6 do not name one.
  const backbone = values.backbone === '' ? undefined : parseSubnet('backbone', values.backbone);
  const resolver = await startResolver({
    address: subnet.gateway,
    address6: backbone?.gateway,
    port: 53,
    isMachine: (address) => isMachineAddress(subnet, address) || (backbone !== undefined && isMachineAddress(backbone, address)),
    zone: values.zone,
    shared: values.shared,
    socketPath: values.told,
    resolvConfPath: '/etc/resolv.conf',
    logger,
  });
  flushCompileCache(); // a killed process would keep nothing of what it compiled
  const stop = () => void resolver[Symbol.asyncDispose]().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
} catch (error) {
  logger.fatal({ error: messageChain(error) }, 'resolver cannot start');
  process.exit(1);
}
