/** How a list is asked for those of a kind: a value as it is, `~TEXT` for what has the text in it, and `*` for any text. */
export const matches = (wanted: unknown, value: unknown): boolean => {
  if (typeof wanted !== 'string') return wanted === value;
  const whole = String(value);
  if (wanted.startsWith('~')) return whole.includes(wanted.slice(1));
  if (!wanted.includes('*')) return wanted === value;
  const parts = wanted.split('*');
  let at = 0;
  for (const [index, part] of parts.entries()) {
    const found = index === parts.length - 1 ? Math.max(at, whole.length - part.length) : whole.indexOf(part, at);
    if (found < at || !whole.startsWith(part, found) || (index === 0 && found !== 0)) return false;
    at = found + part.length;
  }
  return true;
};
