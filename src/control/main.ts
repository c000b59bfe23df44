/** The control plane's process: `node src/control/main.ts [--root DIR]`. Ends at SIGTERM or SIGINT; being killed is as good. */
import { flushCompileCache } from 'node:module';
import { createLogger } from '../base/logger.ts';
import { messageChain } from '../base/errors.ts';
import { readConfig } from './config.ts';
import { startControl } from './start.ts';

const config = readConfig(process.argv.slice(2));
const logger = createLogger({ name: 'control', level: config.logLevel });
try {
  // Whoever keeps it running starts it again.
  const control = await startControl({ ...config, logger, beginAnew: () => stop('a store put back') });
  flushCompileCache(); // a killed process would keep nothing of what it compiled
  const stop = (reason: string) => {
    logger.info({ reason }, 'control plane ends');
    void control[Symbol.asyncDispose]().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ error: messageChain(error) }, 'did not end cleanly');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
} catch (error) {
  logger.fatal({ error: messageChain(error) }, 'control plane cannot start');
  process.exit(1);
}
