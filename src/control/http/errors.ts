/** Any error as the ErrorBody and status a client sees; the only place that knows both. */
import type { FastifyError, FastifySchemaValidationError } from 'fastify';
import { asCenoteError, CenoteError, errorCodes, invalid } from '../../base/errors.ts';
import type { FieldError } from '../../base/errors.ts';

const mostFields = 20;

/** What fastify throws, in the project's words. */
export const publicError = (error: unknown): CenoteError => {
  if (error instanceof CenoteError) return error;
  if (!(error instanceof Error)) return asCenoteError(error);
  if ('validation' in error && Array.isArray(error.validation)) return validationError(error as FastifyError);
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return invalid('content-type', 'this is not what the request takes', 'send JSON as application/json');
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return invalid('body', 'is larger than 1 MiB');
  if (code === 'FST_ERR_CTP_INVALID_JSON_BODY') return invalid('body', 'is not JSON, or has a key that is not taken (__proto__, constructor)');
  const status = 'statusCode' in error ? Number(error.statusCode) : 500;
  return status >= 400 && status < 500 ? new CenoteError('invalid_argument', error.message, { cause: error }) : asCenoteError(error);
};

export const statusOf = (error: CenoteError): number => errorCodes[error.code].status;

const validationError = (error: FastifyError): CenoteError => {
  const where = error.validationContext ?? 'body';
  const fields = plain(error.validation as FastifySchemaValidationError[])
    .slice(0, mostFields)
    .map((one) => fieldOf(where, one));
  const first = fields[0] ?? { field: where, message: error.message };
  return new CenoteError('invalid_argument', `${first.field}: ${first.message}`, { fields: fields.length === 0 ? [first] : fields });
};

/**
 * A union says what is wrong with each of its members, and then that none fits. Where a single member is of the value's type, such as the
 * number in "number or null", what that one says is enough; where all are texts of some format, which these are; elsewhere, that none fits.
 */
const plain = (errors: readonly FastifySchemaValidationError[]): FastifySchemaValidationError[] => {
  const ofMembers = errors.filter(({ schemaPath, keyword }) => schemaPath.includes('/anyOf/') && !noMembers.has(keyword));
  return errors
    .filter(({ schemaPath }) => !schemaPath.includes('/anyOf/'))
    .map((error) => {
      const close = error.keyword === 'anyOf' ? ofMembers.filter(({ instancePath }) => instancePath === error.instancePath) : [];
      const formats = close.flatMap(({ keyword, params }) => (keyword === 'format' ? [JSON.stringify(params['format'])] : []));
      if (close.length > 1 && formats.length === close.length) return { ...error, message: `must match format ${formats.join(' or ')}` };
      return close.length === 1 ? close[0]! : error;
    });
};

/** Of a member that is of another type, and of a union within one. */
const noMembers: ReadonlySet<string> = new Set(['type', 'const', 'anyOf']);

const fieldOf = (where: string, { instancePath, keyword, params, message }: FastifySchemaValidationError): FieldError => {
  const parts = instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (keyword === 'additionalProperties') {
    return { field: shown([...parts, String(params['additionalProperty'])]), message: 'unknown field' };
  }
  if (keyword === 'required') return { field: shown([...parts, String(params['missingProperty'])]), message: 'is missing' };
  const allowed = keyword === 'enum' && Array.isArray(params['allowedValues']) ? `: ${params['allowedValues'].join(', ')}` : '';
  return { field: parts.length === 0 ? where : shown(parts), message: (message ?? 'is not valid') + allowed };
};

const shown = (parts: string[]): string => parts.join('.').slice(0, 200);
