/**
 * What a user of an account may do: an active role must be tagged on the resource, and a rule of one of its policies must grant the action. The
 * account's own key, and members of the role `administrator`, may do all.
 */
import type { IncomingMessage } from 'node:http';
import type { User } from '../../../model/access.ts';
import type { Machine } from '../../../model/control-api.ts';
import type { RequestContext } from '../../../store/context.ts';
import { administrator } from '../../app/authorized-keys.ts';
import { machineShown } from '../../../store/machine.ts';
import type { Db } from '../../../store/store.ts';
import type { Endpoint } from '../endpoint.ts';
import { Refusal } from '../refusal.ts';
import { parseRule } from './aperture.ts';
import type { AccessBook } from './book.ts';
import type { Facts, Rule } from './aperture.ts';

export interface Asking {
  db: Db;
  book: AccessBook;
  context: RequestContext;
  user: User;
  endpoint: Pick<Endpoint, 'name' | 'path' | 'method'>;
  path: Readonly<Record<string, string>>;
  /** Names of roles that are to be active instead of those that are so by default. */
  asRoles: readonly string[] | undefined;
  datacenter: string;
  request: IncomingMessage;
}

/** Machines that lists are to show; undefined for all. */
export type Visible = ReadonlySet<string> | undefined;

const mostCached = 5000;
const parsed = new Map<string, Rule>();

const ruleOf = (text: string): Rule => {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const made = parseRule(text);
  if (parsed.size >= mostCached) parsed.clear();
  parsed.set(text, made);
  return made;
};

const ofUser: ReadonlySet<string> = new Set(['keys', 'accesskeys']);

/**
 * What a path is about: `/:account/machines/ID/tags/x` is about `machines/ID`, and `/:account` about nothing but the account. Keys of users have
 * places of their own.
 */
export const resourceOf = (template: string, path: Readonly<Record<string, string>>): string => {
  const parts = template
    .split('/')
    .slice(2)
    .map((part) => (part.startsWith(':') ? (path[part.slice(1)] ?? '') : part));
  return parts.slice(0, parts[0] === 'users' && ofUser.has(parts[2] ?? '') ? 4 : 2).join('/');
};

export const authorise = async (asking: Asking): Promise<Visible> => {
  const { db, book, context, user, endpoint, path } = asking;
  const own = (await book.roles(context)).filter(({ members }) => members.some(({ id }) => id === user.id));
  const active =
    asking.asRoles === undefined
      ? own.filter(({ members }) => members.some(({ id, byDefault }) => id === user.id && byDefault))
      : own.filter(({ name }) => asking.asRoles!.includes(name));
  const resource = resourceOf(endpoint.path, path);
  const refusal = () => new Refusal(403, 'NotAuthorized', `You do not have permission to access /${resource} (${endpoint.name.toLowerCase()})`.slice(0, 300));
  if (asking.asRoles !== undefined && active.length < new Set(asking.asRoles).size) throw refusal();
  if (active.some(({ name }) => name === administrator)) return undefined;
  const tagged = new Set((await book.rolesFor(context, resource)).map(({ id }) => id));
  if (!active.some(({ id }) => tagged.has(id))) throw refusal();
  const wanted = new Set(active.flatMap(({ policies }) => policies.map(({ id }) => id)));
  const rules = (await book.policies(context)).filter(({ id }) => wanted.has(id)).flatMap(({ rules: texts }) => texts.map(ruleOf));
  const machine = path['machine'] === undefined ? undefined : await machineShown(context, db, path['machine']);
  const facts = factsOf(
    asking,
    active.map(({ name }) => name),
    machine,
  );
  if (!rules.some((rule) => rule.grants(endpoint.name.toLowerCase(), facts))) throw refusal();
  const resources = await book.resourcesFor(
    context,
    active.map(({ id }) => id),
  );
  return new Set(resources.filter((one) => one.startsWith('machines/')).map((one) => one.slice('machines/'.length)));
};

const factsOf = ({ request, datacenter }: Asking, activeRoles: string[], machine: Machine | undefined): Facts => {
  const now = new Date();
  const tags = Object.entries(machine?.tags ?? {}).map(([name, value]) => [`tag_${name}`, String(value)]);
  return {
    sourceip: (request.socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
    requesttime: now,
    date: now,
    day: now,
    time: now,
    'user-agent': request.headers['user-agent'] ?? '',
    method: (request.method ?? '').toLowerCase(),
    activeRoles,
    datacenter,
    ...(machine === undefined ? {} : { ip: [machine.address] }),
    ...(Object.fromEntries(tags) as Record<string, string>),
  };
};
