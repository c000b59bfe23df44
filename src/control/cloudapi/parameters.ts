/**
 * A request's parameters as CloudAPI has them: query and body make one bag, in which text stands for numbers, truths and lists where those are
 * asked for. What a client must not name, it is told.
 */
import { Compile } from 'typebox/compile';
import type { TSchema } from 'typebox';
import type { Endpoint } from './endpoint.ts';
import { Refusal } from './refusal.ts';
import type { RefusalField } from './refusal.ts';

export type Bag = Record<string, unknown>;

/** Taken everywhere: which endpoint is meant, and what is for the edge itself. */
const always = new Set(['action', 'as-role', 'role-tag', 'sort', 'fields']);
const mostErrors = 20;
const forbidden = new Set(['__proto__', 'constructor', 'prototype']);

/** What stands in the body counts more than the query; what stands in the path is no parameter. */
export const bagOf = (query: URLSearchParams, body: unknown): Bag => {
  const bag: Bag = Object.create(null) as Bag;
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    if (!forbidden.has(name)) bag[name] = values.length === 1 ? values[0] : values;
  }
  if (body === null || body === undefined) return bag;
  if (typeof body !== 'object' || Array.isArray(body)) throw new Refusal(400, 'BadRequest', 'the body is not a JSON object');
  for (const [name, value] of Object.entries(body)) if (!forbidden.has(name)) bag[name] = value;
  return bag;
};

const typeOf = (schema: TSchema): string | undefined => (schema as { type?: string }).type;

/** Clients send numbers and truths as text, in forms and queries because they must, in JSON because they always did. */
const converted = (schema: TSchema, value: unknown): unknown => {
  const type = typeOf(schema);
  if (type === 'array' && typeof value === 'string') return value === '' ? [] : value.split(',').map((one) => one.trim());
  if (type === 'string' && typeof value === 'number') return String(value);
  if (typeof value !== 'string') return value;
  if ((type === 'integer' || type === 'number') && /^-?\d{1,15}(\.\d{1,6})?$/.test(value)) return Number(value);
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
};

export interface Parameters {
  known: Bag;
  named: (prefix: string) => [name: string, value: unknown][];
}

/** `path`: what stands in the path, which some clients say once more. */
export type Reader = (bag: Bag, path: Readonly<Record<string, string>>) => Parameters;

const isSame = (value: unknown, id: string): boolean => value === id || (typeof value === 'number' && String(value) === id);

/** Made once for each endpoint. Reading refuses nothing that it does not know; changing does. */
export const readerOf = ({ parameters, prefixes, method }: Pick<Endpoint, 'parameters' | 'prefixes' | 'method'>): Reader => {
  const properties = parameters.properties as Record<string, TSchema>;
  const validator = Compile(parameters);
  return (bag, path) => {
    const known: Bag = {};
    const unknown: string[] = [];
    for (const [name, value] of Object.entries(bag)) {
      const schema = Object.hasOwn(properties, name) ? properties[name]! : undefined;
      if (schema !== undefined && value !== null) known[name] = converted(schema, value);
      else if (schema === undefined && !always.has(name) && !prefixes.some((one) => name.startsWith(one) && name.length > one.length)) unknown.push(name);
    }
    const strange = unknown.filter((name) => !Object.entries(path).some(([place, id]) => place !== 'account' && isSame(bag[name], id)));
    if (method !== 'GET' && strange.length > 0) throw refused(strange.map((field) => ({ field, code: 'Invalid', message: 'unknown parameter' })));
    if (!validator.Check(known)) throw refused(fieldsOf(validator.Errors(known), known));
    return {
      known,
      named: (prefix) =>
        Object.entries(bag)
          .filter(([name]) => name.startsWith(prefix) && name.length > prefix.length)
          .map(([name, value]) => [name.slice(prefix.length), value]),
    };
  };
};

interface SchemaError {
  keyword: string;
  instancePath: string;
  message: string;
  params: object;
}

const fieldsOf = (errors: readonly SchemaError[], known: Bag): RefusalField[] => {
  const fields = new Map<string, RefusalField>();
  for (const { keyword, instancePath, message, params } of errors) {
    if (keyword === 'required') {
      for (const name of (params as { requiredProperties?: string[] }).requiredProperties ?? [])
        if (!Object.hasOwn(known, name)) fields.set(name, { field: name, code: 'Missing', message: 'is missing' });
      continue;
    }
    const field = instancePath.slice(1).replaceAll('/', '.').slice(0, 200) || 'parameters';
    if (!fields.has(field)) fields.set(field, { field, code: 'Invalid', message });
  }
  return [...fields.values()].slice(0, mostErrors);
};

const refused = (errors: RefusalField[]): Refusal => {
  const [first] = errors;
  const missing = errors.every(({ code }) => code === 'Missing');
  const names = errors.map(({ field }) => field).join(', ');
  const message = missing ? `${names} ${errors.length === 1 ? 'is a required parameter' : 'are required parameters'}` : `${first?.field}: ${first?.message}`;
  return new Refusal(409, missing ? 'MissingParameter' : 'InvalidArgument', message, { errors });
};
