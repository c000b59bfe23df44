/** What is asked for, where the body is a stream: as JSON in the query. */
import type { Static, TSchema } from 'typebox';
import { Check, Errors } from 'typebox/schema';
import { CenoteError, invalid } from '../../base/errors.ts';

export const requestInQuery = <Schema extends TSchema>(schema: Schema, text: string | undefined): Static<Schema> => {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '');
  } catch (cause) {
    throw new CenoteError('invalid_argument', 'request: must be JSON in the query', { cause, fields: [{ field: 'request', message: 'must be JSON' }] });
  }
  if (Check(schema, value)) return value;
  const [, [first]] = Errors(schema, value);
  throw invalid(first?.instancePath.slice(1).replaceAll('/', '.') || 'request', first?.message ?? 'is not valid');
};
