import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../../client/control.ts';
import { CenoteError, messageOf } from '../../base/errors.ts';
import { defineCommand, one, toggle } from '../command.ts';
import { plural } from '../format.ts';

const answersMs = 60_000;
const askMs = 50;

const whatItDoes =
  'this replaces all names, tags, packages, accounts, jobs and the audit by those of the copy; machines that this host has and the copy does not know stay, and are taken over';

export const command = defineCommand({
  detail: [
    'Replaces everything the control plane has by what is in the copy, wholly or not at all; then it begins anew and compares with the host: machines',
    'that the copy does not know stay and are taken over as the host knows them, without package and audit; none is touched. Actions that had not ended when the copy was made are not taken up.',
    'The copy may be of the other database (SQLite or PostgreSQL), or of an earlier version. - reads standard input.',
  ].join('\n'),
  args: { file: one('FILE', 'file') },
  flags: { yes: toggle('what is there now is given up', { short: 'y' }) },
  examples: ['backup restore store.backup --yes'],
  run: async ({ args, flags }, context) => {
    const control = await context.control();
    if (!flags.yes) {
      throw new CenoteError('invalid_argument', whatItDoes, {
        advice: `keep what there is (cenote backup create FILE), then say: cenote backup restore ${args.file} --yes`,
      });
    }
    const source = args.file === '-' ? process.stdin : await opened(args.file);
    using progress = context.output.progress('putting the copy back');
    const { startedAt } = await control.info({ signal: context.signal });
    const restored = await control.restore(source, { signal: context.signal });
    progress.update('the control plane begins anew');
    const begunAt = await hasBegunAnew(control, startedAt, context.signal);
    if (flags.json) return context.output.json(restored);
    context.output.line(`put back the copy of ${restored.createdAt} (${plural(restored.rows, 'row')})`);
    if (restored.dropped > 0)
      context.output.note(`${plural(restored.dropped, 'action')} had not ended then and ${restored.dropped === 1 ? 'is' : 'are'} not taken up`);
    const adopted = await adoptedSince(control, begunAt, context.signal);
    if (adopted > 0)
      context.output.note(`${plural(adopted, 'machine')} that the copy does not know ${adopted === 1 ? 'was' : 'were'} found on the host and taken over`);
  },
});

/** It has compared the store with the host before it serves, and said so in events. */
const adoptedSince = async (control: ControlClient, at: string, signal: AbortSignal): Promise<number> => {
  let adopted = 0;
  for await (const events of control.events({}, { signal })) adopted += events.filter((event) => event.type === 'machine.adopted' && event.at >= at).length;
  return adopted;
};

const opened = async (path: string) => {
  try {
    await (await open(path)).close();
  } catch (error) {
    throw new CenoteError('invalid_argument', `${path} cannot be read: ${messageOf(error)}`);
  }
  return createReadStream(path);
};

/** It serves once it has compared the store with the host; gives when it began. */
const hasBegunAnew = async (control: ControlClient, before: string, signal: AbortSignal): Promise<string> => {
  const end = Date.now() + answersMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      const { startedAt } = await control.info({ signal });
      if (startedAt !== before) return startedAt;
    } catch (error) {
      if (!(error instanceof CenoteError) || error.code !== 'unavailable') throw error;
    }
    if (Date.now() > end) throw new CenoteError('timeout', 'the copy is put back, but the control plane does not answer yet', { advice: 'see: cenote doctor' });
    await sleep(askMs);
  }
};
