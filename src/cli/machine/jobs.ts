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
  detail: 'Newest first.',
  args: { name: one('NAME', 'machine') },
  flags: {},
  examples: ['jobs web', 'jobs web --json'],
  run: async ({ args, flags }, context) => {
    const machine = await selectMachine(context, args.name);
    const jobs = await (await context.control()).machineJobs(machine.id, { signal: context.signal });
    if (flags.json) context.output.json(jobs);
    else context.output.table(jobs, columns);
  },
});
