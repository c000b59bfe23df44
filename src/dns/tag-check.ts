/** Tags that mean something here are refused when they are wrong: a machine that has the name it was meant to have, or an error, and no third. */
import { invalid } from '../base/errors.ts';
import type { Tags } from '../model/machine.ts';
import { tagNames } from './machine-names.ts';
import { isName } from './name.ts';
import { parseServices } from './services-tag.ts';

const reserved = 'triton.';
/** Known to others of Triton's programs; kept and shown. */
const kept = new Set(['triton.cmon.groups', 'triton.placement.exclude_virtual_servers', 'triton.network.public']);

export const checkTags = (field: string, tags: Tags): Tags => {
  for (const [name, value] of Object.entries(tags)) {
    if (!name.startsWith(reserved) || kept.has(name)) continue;
    if (name === tagNames.services) parseServices(`${field}.${name}`, String(value));
    else if (name === tagNames.disable) {
      if (!['true', 'false'].includes(String(value))) throw invalid(`${field}.${name}`, `${JSON.stringify(value)} is neither true nor false`);
    } else if (name === tagNames.reversePtr) {
      if (!isName(String(value).toLowerCase())) throw invalid(`${field}.${name}`, `${JSON.stringify(value)} is not a name in the DNS`);
    } else throw invalid(`${field}.${name}`, `names that begin with ${reserved} are reserved`, `there are ${Object.values(tagNames).join(', ')}`);
  }
  return tags;
};
