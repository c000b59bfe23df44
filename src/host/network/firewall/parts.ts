/**
 * What a table holds, in parts that are compared as a whole: one that is the same object as before costs nothing, of another the
 * difference is told to the kernel, all in one transaction.
 */
import { declarationOf, keyOf, kindOf } from '../set-shapes.ts';
import type { SetShape } from '../set-shapes.ts';
import type { SetChange } from '../transaction.ts';

export interface TableSet {
  shape: SetShape;
  elements: ReadonlySet<string>;
}

export interface Part {
  sets: ReadonlyMap<string, TableSet>;
  chains: ReadonlyMap<string, readonly string[]>;
}

export type Parts = ReadonlyMap<string, Part>;

/** One in nft's language, or of elements, which are told without it where there is nothing else. */
export type Command = string | SetChange;

const nothing: Part = { sets: new Map(), chains: new Map() };
/** Elements in one command: keeps one line of text, and one message to the kernel, of reasonable size. */
const elementsPerCommand = 500;

/** Commands that make the one table of the other; empty when they are the same. Whatever is referred to comes before and goes after what refers to it. */
export const difference = (table: string, before: Parts, after: Parts): Command[] => {
  const made: string[] = [];
  const chainsMade: string[] = [];
  const elements: SetChange[] = [];
  const rules: string[] = [];
  const late: SetChange[] = [];
  const chainsGone: string[] = [];
  const setsGone: string[] = [];
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(key) ?? nothing;
    const now = after.get(key) ?? nothing;
    if (old === now) continue;
    for (const [name, set] of now.sets) {
      if (!old.sets.has(name)) made.push(`add ${kindOf(set.shape)} inet ${table} ${name} { ${declarationOf(set.shape)} }`);
      const changes = elementChanges(name, set, old.sets.get(name)?.elements ?? new Set(), set.elements);
      // Elements of a map name chains, which must be there, with their rules.
      (kindOf(set.shape) === 'map' ? late : elements).push(...changes);
    }
    for (const [name, set] of old.sets) {
      if (now.sets.has(name)) continue;
      if (kindOf(set.shape) === 'map') late.push(...elementChanges(name, set, set.elements, new Set()));
      setsGone.push(`delete ${kindOf(set.shape)} inet ${table} ${name}`);
    }
    for (const [name, lines] of now.chains) {
      const oldLines = old.chains.get(name);
      if (oldLines === undefined) chainsMade.push(`add chain inet ${table} ${name}`);
      else if (oldLines.length === lines.length && oldLines.every((line, index) => line === lines[index])) continue;
      else rules.push(`flush chain inet ${table} ${name}`);
      rules.push(...lines.map((line) => `add rule inet ${table} ${name} ${line}`));
    }
    for (const name of old.chains.keys()) {
      if (now.chains.has(name)) continue;
      chainsGone.unshift(`delete chain inet ${table} ${name}`);
      rules.unshift(`flush chain inet ${table} ${name}`);
    }
  }
  return [...made, ...chainsMade, ...elements, ...rules, ...late, ...chainsGone, ...setsGone];
};

const elementChanges = (set: string, { shape }: TableSet, before: ReadonlySet<string>, after: ReadonlySet<string>): SetChange[] => {
  if (before === after) return [];
  const gone = [...before].filter((element) => !after.has(element)).map(keyOf);
  const come = [...after].filter((element) => !before.has(element));
  return [
    ...(gone.length === 0 ? [] : [{ verb: 'delete' as const, set, shape, elements: gone }]),
    ...(come.length === 0 ? [] : [{ verb: 'add' as const, set, shape, elements: come }]),
  ];
};

/** Undefined: there is more in it than elements. */
export const elementsOnly = (commands: readonly Command[]): SetChange[] | undefined => {
  const changes = commands.filter((command) => typeof command !== 'string');
  return changes.length === commands.length ? changes : undefined;
};

export const asText = (table: string, commands: readonly Command[]): string =>
  commands.flatMap((command) => (typeof command === 'string' ? command : inCommands(table, command))).join('\n') + (commands.length === 0 ? '' : '\n');

const inCommands = (table: string, { verb, set, elements }: SetChange): string[] => {
  const commands: string[] = [];
  for (let at = 0; at < elements.length; at += elementsPerCommand)
    commands.push(`${verb} element inet ${table} ${set} { ${elements.slice(at, at + elementsPerCommand).join(', ')} }`);
  return commands;
};
