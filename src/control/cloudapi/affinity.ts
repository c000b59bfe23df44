/**
 * Where an instance is wanted: near or far from others (`instance!=web*`, `role==~db`). While one host has all machines, being near any is always
 * so and being far from any is never so: what must be and cannot is refused, what is only wished for is taken as that.
 */
import { isUuid } from '../../base/ids.ts';
import type { Machine } from '../../model/control-api.ts';
import { invalidArgument, Refusal } from './refusal.ts';

interface Wish {
  key: string;
  near: boolean;
  strict: boolean;
  matches: (text: string) => boolean;
}

const pattern = /^([a-z_][a-z0-9\-_.]*)(==~|!=~|==|!=)(.+)$/i;
const longest = 256;

const parse = (text: string): Wish => {
  const match = text.length > longest ? null : pattern.exec(text);
  if (match === null) throw invalidArgument('affinity', `cannot read ${JSON.stringify(text.slice(0, 80))}: write such as instance!=web* or role==~db`);
  const [, key = '', operator = '', value = ''] = match;
  if (value.startsWith('/')) throw invalidArgument('affinity', 'regular expressions are not taken; * stands for any text');
  return { key, near: operator.startsWith('='), strict: !operator.endsWith('~'), matches: matcher(value) };
};

/** Few stars, each found as early as it can be: linear for whatever text. */
const matcher = (value: string): ((text: string) => boolean) => {
  const parts = value.split('*');
  if (parts.length === 1) return (text) => text === value;
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of parts.slice(1, -1)) {
      const found = text.indexOf(part, at);
      if (found < 0 || found + part.length > text.length - last.length) return false;
      at = found + part.length;
    }
    return true;
  };
};

const isMeant = ({ key, matches }: Wish, { id, name, tags }: Machine): boolean => {
  if (key === 'instance' || key === 'container') return matches(name) || matches(id) || matches(id.slice(0, 8));
  const tag = Object.hasOwn(tags, key) ? tags[key] : undefined;
  return tag !== undefined && matches(String(tag));
};

const cannot = (what: string): Refusal => new Refusal(409, 'InsufficientCapacity', `no host satisfies ${what}: this datacenter has one host`);

export interface Locality {
  strict?: boolean;
  near?: string | string[];
  far?: string | string[];
}

export const demandPlace = (machines: readonly Machine[], affinity: readonly string[], locality: Locality | undefined): void => {
  for (const text of affinity) {
    const wish = parse(text);
    const found = machines.some((machine) => machine.state !== 'failed' && isMeant(wish, machine));
    if (wish.strict && found !== wish.near) throw cannot(`affinity ${JSON.stringify(text)}`);
  }
  const named = [locality?.near ?? [], locality?.far ?? []].map((ids) => [ids].flat());
  if (named.flat().some((id) => !isUuid(id))) throw invalidArgument('locality', 'near and far are ids of instances');
  const there = (id: string) => machines.some((machine) => machine.id === id);
  if (locality?.strict !== true) return;
  if (named[1]!.some(there)) throw cannot('locality far');
  if (named[0]!.length > 0 && !named[0]!.some(there)) throw cannot('locality near');
};
