/** A control plane as a process of its own, that kills itself at a named step: `control-child.ts DIRECTORY DATABASE [STEP]`. */
import { join } from 'node:path';
import { createLogger } from '../../src/base/logger.ts';
import { startControl } from '../../src/control/start.ts';

const [directory = '', database = '', fatalStep = ''] = process.argv.slice(2);
await startControl({
  root: directory,
  socketPath: join(directory, 'control.sock'),
  agentSocketPath: join(directory, 'agent.sock'),
  database,
  adminGids: [],
  cloudapi: { address: '127.0.0.1', port: 0, datacenter: 'here' },
  beginAnew: () => process.exit(0),
  logger: createLogger({ name: 'control', level: 'silent' }),
  trace: (step) => {
    if (step === fatalStep) process.kill(process.pid, 'SIGKILL');
  },
});
process.stdout.write('ready\n');
