/** The agent's process. */
import { createLogger } from '../base/logger.ts';
import { messageChain } from '../base/errors.ts';
import { loadConfig } from './config.ts';
import { startAgent } from './start.ts';

const config = loadConfig(process.argv.slice(2));
const logger = createLogger({ name: 'agent', level: config.logLevel });
try {
  const agent = await startAgent(config, logger);
  const stop = async (signal: string) => {
    logger.info({ signal }, 'agent stops; machines run on');
    await agent[Symbol.asyncDispose]();
    process.exit(0);
  };
  process.once('SIGTERM', () => void stop('SIGTERM'));
  process.once('SIGINT', () => void stop('SIGINT'));
} catch (error) {
  logger.fatal({ error: messageChain(error), stack: error instanceof Error ? error.stack : undefined }, 'agent could not start');
  process.exit(1);
}
