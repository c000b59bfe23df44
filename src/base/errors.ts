/**
 * The one error type of the project. A code is a closed word that programs branch on, the message is one line
 * for a person, `fields` names the inputs at fault, and `context` is for the log only and never leaves the process.
 */

/** Every code an API may answer with, the HTTP status it maps to, and the command line's exit status. */
export const errorCodes = {
  invalid_argument: { status: 400, exit: 2 },
  unauthorized: { status: 401, exit: 77 },
  forbidden: { status: 403, exit: 77 },
  not_found: { status: 404, exit: 4 },
  already_exists: { status: 409, exit: 5 },
  in_use: { status: 409, exit: 5 },
  wrong_state: { status: 409, exit: 6 },
  stale_generation: { status: 409, exit: 6 },
  not_enough: { status: 409, exit: 7 },
  over_quota: { status: 403, exit: 7 },
  too_busy: { status: 429, exit: 75 },
  unsupported: { status: 501, exit: 8 },
  unavailable: { status: 503, exit: 69 },
  timeout: { status: 504, exit: 75 },
  failed: { status: 500, exit: 1 },
  internal: { status: 500, exit: 70 },
} as const satisfies Record<string, { status: number; exit: number }>;

export type ErrorCode = keyof typeof errorCodes;

export interface FieldError {
  /** Path of the input at fault, as the caller wrote it: `resources.memory`. */
  field: string;
  message: string;
}

export interface ErrorDetails {
  fields?: FieldError[] | undefined;
  /** One line of advice: what the person can do next. */
  advice?: string | undefined;
  /** Facts for the log; never sent to a client. */
  context?: Record<string, unknown> | undefined;
  cause?: unknown;
  /** True when the same request may succeed later without a change. */
  retryable?: boolean | undefined;
}

/** The wire form of an error, the same in both APIs. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  fields?: FieldError[];
  advice?: string;
}

export class CenoteError extends Error {
  readonly code: ErrorCode;
  readonly fields: FieldError[];
  readonly advice: string | undefined;
  readonly context: Record<string, unknown>;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'CenoteError';
    this.code = code;
    this.fields = details.fields ?? [];
    this.advice = details.advice;
    this.context = details.context ?? {};
    this.retryable = details.retryable ?? (code === 'unavailable' || code === 'too_busy');
  }

  toBody(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.fields.length > 0 ? { fields: this.fields } : {}),
      ...(this.advice === undefined ? {} : { advice: this.advice }),
    };
  }

  static fromBody(body: ErrorBody): CenoteError {
    const known = body.code in errorCodes ? body.code : 'internal';
    return new CenoteError(known, body.message, { fields: body.fields, advice: body.advice });
  }
}

/** An input that is wrong, with the name of the field as the caller knows it. */
export const invalid = (field: string, message: string, advice?: string): CenoteError =>
  new CenoteError('invalid_argument', `${field}: ${message}`, { fields: [{ field, message }], advice });

/** What a thrown thing says, without the stack. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The messages of an error and all its causes, outermost first: for logs and for a job's stored reason. */
export const messageChain = (error: unknown): string => {
  const parts: string[] = [];
  for (let at: unknown = error; at !== undefined && at !== null; at = at instanceof Error ? at.cause : undefined) {
    parts.push(messageOf(at));
  }
  return parts.join(': ');
};

/** Any thrown thing as a CenoteError; what is not one becomes `internal`, its text kept for the log only. */
export const asCenoteError = (error: unknown): CenoteError =>
  error instanceof CenoteError ? error : new CenoteError('internal', 'internal error', { cause: error });
