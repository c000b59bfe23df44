/**
 * Names of the DNS as text: small letters, no dot at the end, the root being ''. Ours have only letters, digits, `-` and `_`; what a
 * packet asks for may hold any byte (see query.ts).
 */

const longestLabel = 63;
/** As text; 255 bytes on the wire. */
const longestName = 253;
const namePattern = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*$/;

/** What stands in a name for a machine, an account or a network that is called `text`; null when nothing of it can. */
export const labelOf = (text: string): string | null => {
  const label = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return label === '' || label.length > longestLabel ? null : label;
};

export const isName = (text: string): boolean => text.length <= longestName && namePattern.test(text);

export const isBeneath = (name: string, zone: string): boolean => name === zone || name.endsWith(`.${zone}`);

/** Of a name that is not the root. */
export const parentOf = (name: string): string => {
  const dot = name.indexOf('.');
  return dot === -1 ? '' : name.slice(dot + 1);
};
