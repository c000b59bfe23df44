/** What is wrong with a rule's text, for who typed it. The server says it in the words that CloudAPI's clients know. */
import { CenoteError } from '../../base/errors.ts';

const syntax = /^rule: Error at character (\d+): '(.*?)'(?:, expected: ('.*'))?, found: ([^,']*)$/s;

const advice = 'such as: FROM any TO tag role = web ALLOW tcp PORT 80';

export const inPlainWords = async <Result>(rule: string, call: Promise<Result>): Promise<Result> => {
  try {
    return await call;
  } catch (error) {
    const match = error instanceof CenoteError ? syntax.exec(error.message) : null;
    if (match === null) throw error;
    const [, at, found, expected, kind] = match;
    const before = rule.slice(0, Number(at)).trim();
    const where = before === '' ? 'begins with' : `goes on after ${JSON.stringify(before)} with`;
    const what = kind === 'EOF' ? `the rule ends after ${JSON.stringify(before)}` : `the rule ${where} ${JSON.stringify(found)}`;
    const wanted = expected === undefined ? '' : `; what may stand there is ${expected.replaceAll("'", '').replaceAll('EOF', 'its end')}`;
    throw new CenoteError('invalid_argument', `${what}${wanted}`, { cause: error, advice });
  }
};
