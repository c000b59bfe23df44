/** Loaded into a service before anything else: each SIGWINCH collects all garbage, gives the pages back, and writes what is left to its log. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
process.on('SIGWINCH', () => {
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { heapUsed, external } = process.memoryUsage();
  process.stderr.write(`memory: ${JSON.stringify({ heapUsed, external })}\n`);
});
