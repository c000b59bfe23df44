import { CenoteError } from '../../base/errors.ts';
import { isUuid } from '../../base/ids.ts';
import type { Job } from '../../model/event.ts';
import { defineCommand, one } from '../command.ts';
import { formatAge } from '../format.ts';
import { jobMilliseconds } from '../jobs.ts';
import { selectMachine } from '../select.ts';
import type { Column } from '../table.ts';

const columns: readonly Column<Job>[] = [
  { title: 'ACTION', cell: (job) => job.action },
  { title: 'STATE', cell: (job) => job.state },
  { title: 'ACTOR', cell: (job) => job.actor },
  { title: 'AGE', cell: (job) => formatAge(job.createdAt), right: true },
  { title: 'MS', cell: (job) => (job.finishedAt === null ? '-' : String(jobMilliseconds(job))), right: true },
  { title: 'REASON', cell: (job) => job.reason ?? '' },
];

export const command = defineCommand({
  detail: 'Newest first. Of a machine that is deleted, by its whole id.',
  args: { name: one('NAME', 'machine') },
  flags: {},
  examples: ['jobs web', 'jobs web --json'],
  run: async ({ args, flags }, context) => {
    // What was done outlives the machine, under its id.
    const { id } = await selectMachine(context, args.name).catch((error: unknown) => {
      if (isUuid(args.name) && error instanceof CenoteError && error.code === 'not_found') return { id: args.name };
      throw error;
    });
    const jobs = await (await context.control()).machineJobs(id, { signal: context.signal });
    if (flags.json) context.output.json(jobs);
    else context.output.table(jobs, columns);
  },
});
