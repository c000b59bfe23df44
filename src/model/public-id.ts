/** CloudAPI knows everything by a UUID; what we know by a name has one that follows from it, the same on every control plane. */
import { createHash } from 'node:crypto';
import { isUuid } from '../base/ids.ts';

const cache = new Map<string, string>();
const mostCached = 10_000;

export const publicId = (kind: 'account' | 'package' | 'network' | 'host', name: string): string => {
  if (isUuid(name)) return name;
  const text = `cenote ${kind} ${name}`;
  const known = cache.get(text);
  if (known !== undefined) return known;
  const digits = createHash('sha256').update(text).digest('hex');
  const id = `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
  if (cache.size >= mostCached) cache.clear();
  cache.set(text, id);
  return id;
};
