/** What a source file imports and which members of globals it uses, by its syntax tree: comments and strings do not count. */
import { parseSync } from 'oxc-parser';

export interface Import {
  from: string;
  typeOnly: boolean;
  dynamic: boolean;
}

export const importsOf = (path: string, source: string): Import[] => {
  const { module } = parseSync(path, source);
  const imported = module.staticImports.map(({ moduleRequest, entries }) => ({
    from: moduleRequest.value,
    typeOnly: entries.length > 0 && entries.every(({ isType }) => isType),
    dynamic: false,
  }));
  const reexported = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest, isType }) => (moduleRequest === null ? [] : [{ from: moduleRequest.value, typeOnly: isType, dynamic: false }])),
  );
  const dynamic = module.dynamicImports.flatMap(({ moduleRequest }) => {
    const name = /^(['"`])([^'"`$]*)\1$/.exec(source.slice(moduleRequest.start, moduleRequest.end))?.[2];
    return name === undefined ? [] : [{ from: name, typeOnly: false, dynamic: true }];
  });
  return [...imported, ...reexported, ...dynamic];
};

/** `process.env`, `console.log`: every plain member of a plain name. */
export const membersOf = (path: string, source: string): Set<string> => {
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const item of node) visit(item);
    else if (typeof node === 'object' && node !== null) {
      const { type, object, property } = node as { type?: string; object?: NamedNode; property?: NamedNode & { value?: unknown } };
      if (type === 'MemberExpression' && object?.type === 'Identifier') found.add(`${object.name}.${property?.name ?? String(property?.value)}`);
      for (const value of Object.values(node)) visit(value);
    }
  };
  visit(parseSync(path, source).program);
  return found;
};

interface NamedNode {
  type?: string;
  name?: string;
}

/** The files of one cycle, from its first back to itself; undefined when there is none. */
export const findCycle = (graph: ReadonlyMap<string, readonly string[]>): string[] | undefined => {
  const done = new Set<string>();
  const walk = (at: string, way: readonly string[]): string[] | undefined => {
    const seen = way.indexOf(at);
    if (seen >= 0) return [...way.slice(seen), at];
    if (done.has(at)) return undefined;
    for (const next of graph.get(at) ?? []) {
      const cycle = walk(next, [...way, at]);
      if (cycle !== undefined) return cycle;
    }
    done.add(at);
    return undefined;
  };
  for (const start of graph.keys()) {
    const cycle = walk(start, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
};
