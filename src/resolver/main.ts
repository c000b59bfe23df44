/** The resolver's process: `node src/resolver/main.ts --root DIR`. */
import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { createLogger } from '../base/logger.ts';
import { messageChain } from '../base/errors.ts';
import { checkRoot, defaultRoot, dnsZone, instancePaths, parseInstanceConfig } from '../model/instance.ts';
import { isMachineAddress, parseSubnet } from '../host/network/subnet.ts';
import { startResolver } from './start.ts';

const { values } = parseArgs({ args: process.argv.slice(2), options: { root: { type: 'string', default: defaultRoot } } });
const logger = createLogger({ name: 'resolver', level: 'info' });
try {
  const paths = instancePaths(checkRoot(values.root));
  const instance = parseInstanceConfig(paths.config, readFileSync(paths.config, 'utf8'));
  const subnet = parseSubnet('subnet', instance.subnet);
  const resolver = await startResolver({
    address: subnet.gateway,
    port: 53,
    isMachine: (address) => isMachineAddress(subnet, address),
    zone: dnsZone(instance),
    shared: instance.dns?.listen !== undefined,
    socketPath: paths.resolverSocket,
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
