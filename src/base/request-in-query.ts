/** What is asked for travels in the query, as JSON, where the body is its content. */
import type { Static, TSchema } from 'typebox';
import { Check, Errors } from 'typebox/schema';
import { invalid } from './errors.ts';

/** `text`: of the parameter `request`. */
export const requestInQuery = <Schema extends TSchema>(schema: Schema, text: string | null | undefined): Static<Schema> => {
  if (text === null || text === undefined) throw invalid('request', 'is missing');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid('request', 'is not JSON');
  }
  if (Check(schema, value)) return value;
  const [, [first]] = Errors(schema, value);
  const at = first?.instancePath.split('/').slice(1).join('.') ?? '';
  // What a closed object does not know is checked against a schema that nothing fits.
  const message = first?.keyword === 'boolean' ? 'unknown field' : (first?.message ?? 'is not valid');
  throw invalid(at === '' ? 'request' : `request.${at}`.slice(0, 200), message);
};
