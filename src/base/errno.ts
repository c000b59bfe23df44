/** Errors of the operating system, as Node and our own system calls throw them: `code` is the errno's name. */
export const isErrno = (error: unknown, ...codes: string[]): boolean => error instanceof Error && 'code' in error && codes.includes(error.code as string);
