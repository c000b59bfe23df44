/** A control plane as a process of its own, with CloudAPI on a free port and nobody slowed down by rates: `control-process.ts DIRECTORY`. */
import { once } from 'node:events';
import { join } from 'node:path';
import { createLogger } from '../../src/base/logger.ts';
import { startControl } from '../../src/control/start.ts';

const [directory = ''] = process.argv.slice(2);
const unbounded = { perSecond: 1e9, burst: 1e9 };
const control = await startControl({
  root: directory,
  socketPath: join(directory, 'control.sock'),
  agentSocketPath: join(directory, 'agent.sock'),
  database: join(directory, 'store.sqlite'),
  adminGids: [],
  beginAnew: () => process.exit(1),
  logger: createLogger({ name: 'control', level: 'warn' }),
  cloudapi: { address: '127.0.0.1', port: 0, datacenter: 'here', perAccount: unbounded, perAddress: unbounded },
});
process.send!('serves');
await once(process, 'disconnect');
await control[Symbol.asyncDispose]();
