/** Errors in CloudAPI's words: the body's code and the status that its clients know. The only place that knows both. */
import { asCenoteError, CenoteError } from '../../base/errors.ts';
import type { ErrorCode, FieldError } from '../../base/errors.ts';
import { publicError } from '../http/errors.ts';

export interface RefusalField {
  field: string;
  code: 'Missing' | 'Invalid' | 'Duplicate';
  message: string;
}

export interface RefusalBody {
  code: string;
  message: string;
  errors?: RefusalField[];
}

/** What the edge itself refuses, in CloudAPI's terms. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: RefusalField[];
  readonly headers: Record<string, string>;
  /** What a caller gets beside the message, as the body of a machine that is gone. */
  readonly body: object | undefined;

  constructor(status: number, code: string, message: string, more: { errors?: RefusalField[]; headers?: Record<string, string>; body?: object } = {}) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.code = code;
    this.errors = more.errors ?? [];
    this.headers = more.headers ?? {};
    this.body = more.body;
  }

  toBody(): object {
    return this.body ?? ({ code: this.code, message: this.message, ...(this.errors.length > 0 ? { errors: this.errors } : {}) } satisfies RefusalBody);
  }
}

export const notFound = (what: string): Refusal => new Refusal(404, 'ResourceNotFound', `${what} not found`);

/** What Cenote does not have, or not yet. */
export const notImplemented = (what: string): Refusal => new Refusal(501, 'NotImplemented', `${what} is not available in this datacenter`);

export const invalidArgument = (field: string, message: string): Refusal =>
  new Refusal(409, 'InvalidArgument', `${field}: ${message}`, { errors: [{ field, code: 'Invalid', message }] });

export const duplicate = (field: string, message: string): Refusal =>
  new Refusal(409, 'InvalidArgument', `${field}: ${message}`, { errors: [{ field, code: 'Duplicate', message }] });

const retryAfter = { headers: { 'retry-after': '5' } };

/** An error code's status and CloudAPI code; `wrong_state` and its like are conflicts with what there is. */
const words: Readonly<Record<ErrorCode, [status: number, code: string]>> = {
  invalid_argument: [409, 'InvalidArgument'],
  unauthorized: [401, 'InvalidCredentials'],
  forbidden: [403, 'NotAuthorized'],
  not_found: [404, 'ResourceNotFound'],
  already_exists: [409, 'InvalidArgument'],
  in_use: [409, 'InUseError'],
  wrong_state: [409, 'InvalidState'],
  stale_generation: [409, 'InvalidState'],
  not_enough: [409, 'InsufficientCapacity'],
  over_quota: [403, 'QuotaExceeded'],
  too_busy: [429, 'RequestThrottled'],
  unsupported: [409, 'NotSupported'],
  unavailable: [503, 'ServiceUnavailable'],
  timeout: [503, 'ServiceUnavailable'],
  failed: [500, 'InternalError'],
  internal: [500, 'InternalError'],
};

const fieldCode = (code: ErrorCode, { message }: FieldError): RefusalField['code'] =>
  code === 'already_exists' ? 'Duplicate' : message === 'is missing' ? 'Missing' : 'Invalid';

/** What an account may be told of an error of ours: of the pool, which is everyone's, no numbers. */
const publicMessage = (error: CenoteError): string => {
  if (error.code === 'not_enough') return 'the datacenter has not enough left of what is asked for: ask for a smaller package, or later';
  if (error.code === 'over_quota') return `QuotaExceeded; ${error.message}`;
  if (error.code === 'unavailable' || error.code === 'timeout') return 'the datacenter cannot do this at the moment; try again';
  if (error.code === 'failed' || error.code === 'internal') return 'an internal error occurred';
  return advised(error.message, error);
};

/** CloudAPI has one text for what is wrong and what would be right. Advice for who has our own command line is not for its clients. */
const advised = (message: string, { advice }: CenoteError): string => (advice === undefined || /\bcenote\b/.test(advice) ? message : `${message}: ${advice}`);

export const refusalOf = (error: unknown): Refusal => {
  if (error instanceof Refusal) return error;
  const known = fastifyRefusal(error);
  if (known !== undefined) return known;
  return translated(publicError(error) ?? asCenoteError(error));
};

const translated = (error: CenoteError): Refusal => {
  const [status, code] = words[error.code];
  const errors =
    error.code === 'not_enough' ? [] : error.fields.map((one) => ({ ...one, code: fieldCode(error.code, one), message: advised(one.message, error) }));
  const missing = error.code === 'invalid_argument' && errors.length > 0 && errors.every((one) => one.code === 'Missing');
  return new Refusal(status, missing ? 'MissingParameter' : code, publicMessage(error), { errors, ...(status === 503 || status === 429 ? retryAfter : {}) });
};

/** What fastify finds wrong with a request before any of it is ours to judge. */
const fastifyRefusal = (error: unknown): Refusal | undefined => {
  if (error instanceof CenoteError || !(error instanceof Error) || !('code' in error)) return undefined;
  switch (String(error.code)) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Refusal(415, 'UnsupportedMediaType', 'send JSON as application/json, or a form as application/x-www-form-urlencoded');
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Refusal(413, 'RequestTooLarge', 'the body is larger than 1 MiB');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new Refusal(400, 'BadRequest', 'the body is not what its headers say');
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_ROUTE_MAX_PARAM_LENGTH':
      return new Refusal(404, 'ResourceNotFound', 'the path is not valid');
    default:
      return undefined;
  }
};
