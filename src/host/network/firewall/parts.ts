/**
 * What a table holds, in parts that are compared as a whole: one that is the same object as before costs nothing, of another the
 * difference is told to the kernel, all in one transaction.
 */

export interface TableSet {
  kind: 'set' | 'map';
  /** What stands between the braces before the elements. */
  declaration: string;
  elements: ReadonlySet<string>;
}

export interface Part {
  sets: ReadonlyMap<string, TableSet>;
  chains: ReadonlyMap<string, readonly string[]>;
}

export type Parts = ReadonlyMap<string, Part>;

const nothing: Part = { sets: new Map(), chains: new Map() };
/** Elements in one command: keeps one line of text, and one message to the kernel, of reasonable size. */
const elementsPerCommand = 500;

/** Commands that make the one table of the other; empty when they are the same. Whatever is referred to comes before and goes after what refers to it. */
export const difference = (table: string, before: Parts, after: Parts): string => {
  const made: string[] = [];
  const chainsMade: string[] = [];
  const elements: string[] = [];
  const rules: string[] = [];
  const late: string[] = [];
  const chainsGone: string[] = [];
  const setsGone: string[] = [];
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(key) ?? nothing;
    const now = after.get(key) ?? nothing;
    if (old === now) continue;
    for (const [name, set] of now.sets) {
      if (!old.sets.has(name)) made.push(`add ${set.kind} ${table} ${name} { ${set.declaration} }`);
      const changes = elementChanges(table, name, set, old.sets.get(name)?.elements ?? new Set(), set.elements);
      // Elements of a map name chains, which must be there, with their rules.
      (set.kind === 'map' ? late : elements).push(...changes);
    }
    for (const [name, set] of old.sets) {
      if (now.sets.has(name)) continue;
      if (set.kind === 'map') late.push(...elementChanges(table, name, set, set.elements, new Set()));
      setsGone.push(`delete ${set.kind} ${table} ${name}`);
    }
    for (const [name, lines] of now.chains) {
      const oldLines = old.chains.get(name);
      if (oldLines === undefined) chainsMade.push(`add chain ${table} ${name}`);
      else if (oldLines.length === lines.length && oldLines.every((line, index) => line === lines[index])) continue;
      else rules.push(`flush chain ${table} ${name}`);
      rules.push(...lines.map((line) => `add rule ${table} ${name} ${line}`));
    }
    for (const name of old.chains.keys()) {
      if (now.chains.has(name)) continue;
      chainsGone.unshift(`delete chain ${table} ${name}`);
      rules.unshift(`flush chain ${table} ${name}`);
    }
  }
  const commands = [...made, ...chainsMade, ...elements, ...rules, ...late, ...chainsGone, ...setsGone];
  return commands.length === 0 ? '' : `${commands.join('\n')}\n`;
};

const elementChanges = (table: string, name: string, set: TableSet, before: ReadonlySet<string>, after: ReadonlySet<string>): string[] => {
  if (before === after) return [];
  const gone = [...before].filter((element) => !after.has(element)).map((element) => (set.kind === 'map' ? element.slice(0, element.indexOf(' : ')) : element));
  return [
    ...inCommands('delete', table, name, gone),
    ...inCommands(
      'add',
      table,
      name,
      [...after].filter((element) => !before.has(element)),
    ),
  ];
};

export const inCommands = (verb: 'add' | 'delete', table: string, name: string, elements: readonly string[]): string[] => {
  const commands: string[] = [];
  for (let at = 0; at < elements.length; at += elementsPerCommand)
    commands.push(`${verb} element ${table} ${name} { ${elements.slice(at, at + elementsPerCommand).join(', ')} }`);
  return commands;
};
