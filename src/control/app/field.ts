/** Things that a field of a request names. */
import { CenoteError, invalid } from '../../base/errors.ts';

/** What `look` finds; that there is none is the field's fault, told in `look`'s own words or in `words`. */
export const namedBy = async <T>(field: string, look: () => Promise<T>, { words, advice }: { words?: string; advice?: string } = {}): Promise<T> => {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof CenoteError) || error.code !== 'not_found') throw error;
    throw invalid(field, words ?? error.message, advice);
  }
};
