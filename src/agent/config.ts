/** What the agent is told: `--root DIR`, and the configuration that set-up wrote there. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { crashAt } from '../base/crash-point.ts';
import type { CrashPoints } from '../base/crash-point.ts';
import { CenoteError } from '../base/errors.ts';
import { checkRoot, defaultRoot, instancePaths, parseInstanceConfig } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';

export interface AgentConfig {
  paths: InstancePaths;
  instance: InstanceConfig;
  logLevel: string;
  /** For tests: where the agent is to be killed. */
  crash: CrashPoints;
}

export const loadConfig = (args: readonly string[]): AgentConfig => {
  const { values } = parseArgs({ args: [...args], options: { root: { type: 'string', default: defaultRoot } } });
  const paths = instancePaths(checkRoot(values.root));
  let text: string;
  try {
    text = readFileSync(paths.config, 'utf8');
  } catch (cause) {
    throw new CenoteError('not_found', `${paths.config} cannot be read`, { cause, advice: `run \`cenote --root ${paths.root} up\` first` });
  }
  return {
    paths,
    instance: parseInstanceConfig(paths.config, text),
    logLevel: process.env['CENOTE_LOG_LEVEL'] ?? 'info',
    crash: crashAt(process.env['CENOTE_CRASH_AT']),
  };
};
