/**
 * The metadata `user-script`, as images for SmartOS and its kin run it: put into /var/svc/mdata-user-script and started as root at every start, beside
 * the app. An image that does so by itself has /lib/smartdc/mdata-execute. What it says is in /var/svc/mdata-user-script.log.
 */
import { messageChain } from '../../base/errors.ts';
import { userScript } from '../../model/metadata.ts';
import type { Host } from '../host.ts';
import type { Machine } from './machine.ts';
import type { Run } from './run.ts';

const start = `
[ -e /lib/smartdc/mdata-execute ] && exit 0
umask 077
mkdir -p /var/svc && cat > /var/svc/mdata-user-script && chmod 700 /var/svc/mdata-user-script || exit 125
cd /
exec /var/svc/mdata-user-script > /var/svc/mdata-user-script.log 2>&1 < /dev/null
`;

const root = { uid: 0, gid: 0, additionalGids: [] };

/** Nobody waits for it; how it ended is an event. */
export const runUserScript = (machine: Machine, run: Run): void => {
  const script = machine.spec.metadata?.[userScript];
  if (script === undefined || script === '') return;
  const { host } = machine;
  execute(host, machine.id, run, script).then(
    (code) =>
      host.events.emit('machine.script', machine.id, `${machine.spec.name}'s user-script ${code === 0 ? 'is done' : `ended with code ${code}`}`, { code }),
    // The machine has ended meanwhile, or has no /bin/sh.
    (error: unknown) =>
      host.events.emit('machine.script', machine.id, `${machine.spec.name}'s user-script could not be run: ${messageChain(error)}`, { code: null }),
  );
};

const execute = async (host: Host, id: string, run: Run, script: string): Promise<number> => {
  const session = await host.runtime.exec(
    id,
    { command: ['/bin/sh', '-c', start], tty: false, stdin: true },
    { ...run.defaults(), user: root, cwd: '/', isUnattended: true },
  );
  session.stdout.resume();
  session.stderr?.resume();
  session.stdin.on('error', () => undefined); // it may end before it has read all
  session.stdin.end(script);
  return (await session.exited).code;
};
