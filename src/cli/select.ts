/** From what a person typed to machines: exact names and ids, short ids (a unique beginning of at least four digits), globs. */
import { CenoteError, invalid } from '../base/errors.ts';
import { shortId } from '../base/ids.ts';
import type { MachineFilter } from '../client/control.ts';
import type { Machine } from '../model/control-api.ts';
import type { Context } from './context.ts';
import { plural } from './format.ts';
import { closest } from './suggest.ts';

export const isGlob = (word: string): boolean => /[*?[]/.test(word);

/** `*`, `?` and `[a-c]` as a shell has them, over the whole name. */
export const globExpression = (glob: string): RegExp => {
  let source = '';
  for (let at = 0; at < glob.length; at++) {
    const letter = glob[at]!;
    const close = letter === '[' ? glob.indexOf(']', at + 2) : -1;
    if (letter === '*') source += '.*';
    else if (letter === '?') source += '.';
    else if (close > 0) {
      const inside = glob.slice(at + 1, close).replaceAll(/[\\\]^]/g, String.raw`\$&`);
      source += `[${inside.replace(/^(!|\\\^)/, '^')}]`;
      at = close;
    } else source += letter.replaceAll(/[.+^${}()|[\]\\/-]/g, String.raw`\$&`);
  }
  try {
    return new RegExp(`^${source}$`);
  } catch {
    throw invalid('NAME', `${JSON.stringify(glob)} is not a valid pattern`);
  }
};

const isShortId = (word: string): boolean => /^[0-9a-f][0-9a-f-]{3,35}$/.test(word);

/** Which of these machines a word without glob letters means; exact names and ids win over beginnings of ids. */
export const pickOne = <M extends { id: string; name: string }>(machines: readonly M[], word: string): M => {
  const exact = machines.find((machine) => machine.name === word) ?? machines.find((machine) => machine.id === word);
  if (exact !== undefined) return exact;
  const beginning = isShortId(word) ? machines.filter((machine) => machine.id.startsWith(word)) : [];
  if (beginning.length === 1) return beginning[0]!;
  if (beginning.length > 1) {
    const which = beginning.slice(0, 5).map((machine) => `${machine.name} (${machine.id.slice(0, 13)})`);
    throw invalid('NAME', `${JSON.stringify(word)} is the beginning of ${beginning.length} ids: ${which.join(', ')}`, 'write more of the id, or the name');
  }
  const names = machines.map((machine) => machine.name);
  const begun = names.filter((name) => name.startsWith(word));
  const near = begun.length === 1 ? begun[0] : closest(word, names);
  throw new CenoteError('not_found', `no machine ${JSON.stringify(word)}`, {
    advice: near === undefined ? 'see what there is: cenote ls' : `did you mean ${near}?`,
  });
};

export const pickMany = <M extends { id: string; name: string }>(machines: readonly M[], words: readonly string[]): M[] => {
  const picked = new Map<string, M>();
  for (const word of words) {
    if (!isGlob(word)) {
      const machine = pickOne(machines, word);
      picked.set(machine.id, machine);
      continue;
    }
    const expression = globExpression(word);
    const matching = machines.filter((machine) => expression.test(machine.name));
    if (matching.length === 0) throw new CenoteError('not_found', `no machine matches ${JSON.stringify(word)}`, { advice: 'see what there is: cenote ls' });
    for (const machine of matching) picked.set(machine.id, machine);
  }
  return [...picked.values()];
};

const pageSize = 1000;

/** All machines a filter lets through, page by page. */
export const listMachines = async (context: Context, filter: Omit<MachineFilter, 'limit' | 'offset'> = {}): Promise<Machine[]> => {
  const control = await context.control();
  const all: Machine[] = [];
  for (;;) {
    const page = await control.machineList({ ...filter, limit: pageSize, offset: all.length }, { signal: context.signal });
    all.push(...page);
    if (page.length < pageSize) return all;
  }
};

/** One machine. The server knows exact names and ids; only what it does not know costs a listing. */
export const selectMachine = async (context: Context, word: string): Promise<Machine> => {
  if (isGlob(word)) throw invalid('NAME', `${JSON.stringify(word)} is a pattern, and one machine is wanted`);
  const control = await context.control();
  if (/^[\w.-]+$/.test(word)) {
    try {
      return await control.machineGet(word, { signal: context.signal });
    } catch (error) {
      if (!(error instanceof CenoteError) || (error.code !== 'not_found' && error.code !== 'invalid_argument')) throw error;
    }
  }
  return pickOne(await listMachines(context), word);
};

/** Every machine the words mean, each once. */
export const selectMachines = async (context: Context, words: readonly string[]): Promise<Machine[]> => {
  if (words.length === 1 && !isGlob(words[0]!)) return [await selectMachine(context, words[0]!)];
  return pickMany(await listMachines(context), words);
};

/** An action on more than one machine, or on what a pattern gives, is done only with `--yes`. */
export const wantYes = (verb: string, words: readonly string[], machines: readonly { id: string; name: string }[], yes: boolean): void => {
  if (yes || (machines.length === 1 && !words.some(isGlob))) return;
  const shown = machines.slice(0, 8).map((machine) => machine.name || shortId(machine.id));
  const more = machines.length > shown.length ? ` and ${machines.length - shown.length} more` : '';
  throw new CenoteError('invalid_argument', `this would ${verb} ${plural(machines.length, 'machine')}: ${shown.join(', ')}${more}`, {
    fields: [{ field: '--yes', message: 'is wanted for an action on many machines' }],
    advice: 'nothing was done; repeat it with --yes',
  });
};
