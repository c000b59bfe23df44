/**
 * Which database the control plane has its store in, when that is not its own file. The URL may hold a password: it is in a file of its own
 * that only the control plane's user can read, and goes to other programs by their standard input, where `ps` does not see it.
 */
import { chownSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CenoteError, messageOf } from '../base/errors.ts';
import { runAny } from '../exec/run.ts';
import { parseDatabaseFile } from '../model/instance.ts';
import type { InstanceConfig, InstancePaths } from '../model/instance.ts';
import { asUser, nodeEnvironment } from './service-list.ts';

/** The word for the file that comes without a database. */
const ownFile = 'sqlite';
const tryMs = 60_000;

/** Null: nothing else was asked for than what it has. Otherwise the control plane must be restarted. */
export const changeDatabase = async (asked: string | undefined, config: InstanceConfig, paths: InstancePaths): Promise<string | null> => {
  const current = savedDatabase(paths);
  if (asked === undefined || asked === (current ?? ownFile)) return null;
  if (asked === ownFile) {
    rmSync(paths.database);
    return "the control plane's own file, ROOT/control/store.sqlite";
  }
  const shown = await tryDatabase(asked, config, paths);
  const text = `${JSON.stringify({ version: 1, url: asked }, null, 2)}\n`;
  writeFileSync(`${paths.database}.new`, text, { mode: 0o400, flush: true, flag: 'wx' });
  chownSync(`${paths.database}.new`, config.user.uid, config.user.gid);
  renameSync(`${paths.database}.new`, paths.database);
  return shown;
};

export const savedDatabase = (paths: InstancePaths): string | null => {
  rmSync(`${paths.database}.new`, { force: true });
  try {
    return parseDatabaseFile(paths.database, readFileSync(paths.database, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
};

/** As the control plane itself will, which may be let in where root is not, or the other way round. */
const tryDatabase = async (url: string, config: InstanceConfig, paths: InstancePaths): Promise<string> => {
  const [program, ...args] = asUser(config.user.name, [config.nodePath, `${config.codePath}/src/control/try-database.ts`]);
  const { code, stdout, stderr } = await runAny(program, args, { input: url, env: nodeEnvironment(paths.control), timeoutMs: tryMs }).catch(
    (error: unknown) => ({ code: 1, stdout: '', stderr: messageOf(error) }),
  );
  if (code === 0) return stdout.trim();
  throw new CenoteError('failed', `the database cannot be used: ${stderr.trim().split('\n').at(-1) ?? ''}`, {
    advice: `nothing was changed; user ${config.user.name} must be able to log in and to make tables there`,
  });
};
