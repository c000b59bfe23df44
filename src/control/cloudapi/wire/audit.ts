/** What was done to a machine, in the words that clients wait for: jobs that have ended, each with a real name. */
import { Type } from 'typebox';
import type { StoredJob } from '../../../store/job.ts';
import type { NamedChange } from '../../../model/metadata.ts';
import type { Action, JobRequests } from '../../jobs/request.ts';

export const WireAudit = Type.Object({
  success: Type.Enum(['yes', 'no']),
  time: Type.String(),
  action: Type.String(),
  caller: Type.Object({ type: Type.Enum(['signature', 'token', 'operator']), ip: Type.Optional(Type.String()), keyId: Type.Optional(Type.String()) }),
  error: Type.Optional(Type.String({ description: 'an addition: why it failed' })),
});

const named = (what: string) => (change: NamedChange<unknown>) => ({ merge: `set_${what}`, replace: `replace_${what}`, remove: `remove_${what}` })[change.mode];

const words: { [A in Action]: string | ((request: JobRequests[A]) => string) } = {
  create: 'provision',
  start: 'start',
  stop: 'stop',
  reboot: 'reboot',
  resize: 'resize',
  update: 'update',
  rename: 'rename',
  'nic.add': 'add_nics',
  'nic.primary': 'update_nics',
  'address.add': 'update_nics',
  'address.remove': 'update_nics',
  'nic.remove': 'remove_nics',
  delete: 'destroy',
  tags: named('tags'),
  metadata: named('metadata'),
  protect: ({ enabled }) => (enabled ? 'enable_deletion_protection' : 'disable_deletion_protection'),
  firewall: ({ enabled }) => (enabled ? 'enable_firewall' : 'disable_firewall'),
  'image.create': 'create_image',
  'snapshot.create': 'create_snapshot',
  'snapshot.delete': 'delete_snapshot',
  'snapshot.rollback': 'rollback_snapshot',
};

/**
 * `triton instance metadata set --wait` begins to look when it has its answer, and waits for an entry that is later than that by its own clock. A
 * change of metadata has long been made by then, so its time is told a second or two late; all others are told as they are.
 */
const timeOf = ({ action, finishedAt }: StoredJob['job']): string =>
  action === 'metadata' ? new Date(Math.ceil(Date.parse(finishedAt!) / 1000) * 1000 + 1000).toISOString() : finishedAt!;

export const auditWire = ({ job, request }: StoredJob) => {
  const word = words[job.action as Action] as string | ((request: unknown) => string) | undefined;
  return {
    success: job.state === 'succeeded' ? ('yes' as const) : ('no' as const),
    time: timeOf(job),
    action: typeof word === 'function' ? word(request) : (word ?? job.action),
    caller: job.caller === null ? { type: 'operator' as const } : { type: job.caller.type, ip: job.caller.address, keyId: job.caller.keyId },
    ...(job.reason === null ? {} : { error: job.reason }),
  };
};
