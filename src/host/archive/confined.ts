/**
 * How bsdtar is started so that what it reads or writes cannot lead it out. For a machine it has only the machine's user
 * namespace (root inside, nobody outside); for a tree on disk it keeps the few capabilities that file ownership needs, and no other.
 * Directories are handed over as open descriptors: the pool's own directories are closed to the machine's ids, and a path could be changed underway.
 */
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { start } from '../../exec/run.ts';

/** The descriptor's number in the program: stdin, stdout and stderr come before. */
export const handedOver = '/proc/self/fd/3';

const keptCapabilities = ['chown', 'dac_override', 'fowner', 'fsetid', 'setfcap', 'sys_chroot'];

const prefixFor = (userNamespace: string | null): [string, ...string[]] => {
  if (userNamespace !== null) return ['nsenter', `--user=${userNamespace}`, '--setuid', '0', '--setgid', '0', '--'];
  const kept = keptCapabilities.map((name) => `+${name}`).join(',');
  return ['setpriv', `--bounding-set=-all,${kept}`, '--inh-caps=-all', '--no-new-privs', '--'];
};

export const startConfined = (
  userNamespace: string | null,
  fd: number,
  args: readonly string[],
  stdio: [stdin: 'ignore' | 'pipe', stdout: 'ignore' | 'pipe'],
): ChildProcess => {
  const [program, ...prefix] = prefixFor(userNamespace);
  const everything: StdioOptions = [...stdio, 'pipe', fd];
  // The plain C locale: nothing of a character set is then looked up, least of all after the change of root.
  return start(program, [...prefix, 'bsdtar', ...args], { stdio: everything, cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } });
};

/** The end of a program as a promise, with the beginning of what it said on stderr. */
export const ended = (child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null; said: string[] }> =>
  new Promise((resolve, reject) => {
    let text = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      if (text.length < 16_384) text += chunk.toString('utf8');
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, said: text.split('\n').filter((line) => line.trim() !== '') }));
  });
