import { setTimeout as sleep } from 'node:timers/promises';
import { shortId } from '../../base/ids.ts';
import { CenoteError } from '../../base/errors.ts';
import type { Machine } from '../../model/control-api.ts';
import { defineCommand, one, toggle } from '../command.ts';
import type { Context } from '../context.ts';
import { jobMilliseconds } from '../jobs.ts';
import { formatPublish } from '../values.ts';
import { followLogs } from './follow.ts';
import { retryWords } from './restart-words.ts';
import { createFlags, createMachine, startFlags } from './create-machine.ts';

export const command = defineCommand({
  detail:
    "Without a command after --, the image's own is run. With --from-snapshot, what is not said (image, platform, command, environment, resources, restart policy, grace, firewall, user-script) is as the snapshot's machine has it now; name, tags, published ports, networks and other metadata are not taken along.",
  args: { name: one('NAME') },
  flags: { ...createFlags, ...startFlags, noWatch: toggle('answer as soon as it is started, without a look whether its program stays') },
  otherFlags: {
    '--name': 'the name is an argument: cenote create NAME …',
    '-d': 'create returns by itself; with --no-watch at once',
    '--detach': 'create returns by itself; with --no-watch at once',
    '-v': 'data stays in the machine; --code DIR copies a directory in, cenote cp at any time',
  },
  trailing: 'after-dashes',
  examples: [
    'create box',
    'create web --image node --code ./app --publish 8080:3000 -- node server.js',
    'create db --memory 512M --disk 20G --restart always --env-file db.env',
    'create copy --from-snapshot db@before',
  ],
  run: async ({ args, flags, command: words }, context) => {
    const start = !flags.noStart;
    const accepted = await createMachine(context, { name: args.name, flags, command: words, start });
    if (flags.json) return context.output.json(accepted);
    const machine = accepted.machine!;
    const ports = machine.publish.length === 0 ? '' : `, published ${machine.publish.map(formatPublish).join(' ')}`;
    context.output.line(
      `${start ? 'created and started' : 'created'} ${machine.name} (${shortId(machine.id)}) in ${jobMilliseconds(accepted.job)} ms: ${machine.address}${ports}`,
    );
    if (start && !flags.noWatch) await watch(context, machine).catch(passOver);
  },
});

/** A program that is not there, or does not find its configuration, has mostly ended within this; longer, and whoever makes many would wait for each. */
const looks = 3;
const pollMs = 50;
const lastLines = 5;

/** Not everybody who may create may look. */
const passOver = (error: unknown): void => {
  if (!(error instanceof CenoteError && error.code === 'forbidden')) throw error;
};

/** The machine stays, and its policy goes on, whatever is seen. */
const watch = async (context: Context, { id, name }: Machine): Promise<void> => {
  const control = await context.control();
  const { signal, output } = context;
  for (let look = 0; look < looks; look += 1) {
    await sleep(pollMs, undefined, { signal });
    const now = await control.machineGet(id, { signal });
    if (now.exit === null) continue;
    // Its work was done sooner than anybody looked.
    if (now.exit.code === 0) return output.note(`${name} has ended: ${now.exit.reason}`);
    output.note(`the last it wrote (all of it: cenote logs ${name}):`);
    await followLogs(context, id, { follow: false, tail: lastLines, signal }).catch(passOver);
    const words = retryWords(now, Date.now());
    throw new CenoteError('failed', `${name} was started and ended at once: ${now.exit.reason}`, {
      advice: words === '' ? `it is ${now.state}; start it again with: cenote start ${name}` : `it is tried again (${words}); see: cenote why ${name}`,
    });
  }
};
