/** Tags and metadata, whose names are the client's own. */
import type { Metadata, Tags } from '../../../model/machine.ts';
import { metadataNamePattern, tagNamePattern } from '../../../model/names.ts';
import { invalidArgument } from '../refusal.ts';

const tagName = new RegExp(tagNamePattern);
const metadataName = new RegExp(metadataNamePattern);
const longestTag = 1024;
const mostNames = 1000;

const shown = (prefix: string, name: string): string => `${prefix}${name.slice(0, 80)}`;

type Named = readonly (readonly [name: string, value: unknown])[];

const demandFew = (prefix: string, named: Named): void => {
  if (named.length > mostNames) throw invalidArgument(prefix === '' ? 'body' : prefix, `more than ${mostNames} names at once`);
};

/** `prefix` as the client wrote it before each name. */
export const tagsOf = (prefix: string, named: Named): Tags => {
  demandFew(prefix, named);
  const tags: Tags = {};
  for (const [name, value] of named) {
    if (!tagName.test(name)) throw invalidArgument(shown(prefix, name), 'is not a tag name: letters, digits and _ . -, at most 128');
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
      throw invalidArgument(shown(prefix, name), 'must be text, a number, true or false');
    if (typeof value === 'string' && (value.length > longestTag || value.includes('\0')))
      throw invalidArgument(shown(prefix, name), `must be at most ${longestTag} characters`);
    tags[name] = value;
  }
  return tags;
};

export const metadataOf = (prefix: string, named: Named): Metadata => {
  demandFew(prefix, named);
  const metadata: Metadata = {};
  for (const [name, value] of named) {
    if (!metadataName.test(name)) throw invalidArgument(shown(prefix, name), 'is not a metadata key: letters, digits and _ . : @ -, at most 256');
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') throw invalidArgument(shown(prefix, name), 'must be text');
    if (String(value).includes('\0')) throw invalidArgument(shown(prefix, name), 'must not hold a zero byte');
    metadata[name] = String(value);
  }
  return metadata;
};
