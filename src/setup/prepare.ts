/** Runs before the agent at boot (systemd): the preparation of the host that a reboot took away. */
import { parseArgs } from 'node:util';
import { openAllotment } from '../host/allotment/allotment.ts';
import { checkRoot } from '../model/instance.ts';
import { loadInstanceConfig } from './config.ts';
import { lockHost } from './host-lock.ts';
import { prepareHost } from './prepare-host.ts';

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options: { root: { type: 'string' } } });
  const config = loadInstanceConfig(checkRoot(values.root ?? ''));
  using _host = await lockHost();
  const { said } = await prepareHost(openAllotment(), config.instance);
  process.stdout.write(`${said}\n`);
};

if (import.meta.main) await main();
