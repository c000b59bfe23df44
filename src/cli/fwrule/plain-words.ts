/** What is wrong with a rule's text, for who typed it. The server says it in the words that CloudAPI's clients know. */
import { CenoteError } from '../../base/errors.ts';
import type { Machine } from '../../model/control-api.ts';
import type { Context } from '../context.ts';
import { selectMachine } from '../select.ts';

const syntax = /^rule: Error at character (\d+): '(.*?)'(?:, expected: ('.*'))?, found: ([^,']*)$/s;
const noId = /^rule: UUID "(.*)" is invalid$/s;

const advice = 'such as: FROM any TO tag role = web ALLOW tcp PORT 80';

export const inPlainWords = async <Result>(context: Context, rule: string, call: Promise<Result>): Promise<Result> => {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof CenoteError)) throw error;
    const [, name] = noId.exec(error.message) ?? [];
    if (name !== undefined) throw await unknownMachine(context, name, error);
    const match = syntax.exec(error.message);
    if (match === null) throw error;
    const [, at, found, expected, kind] = match;
    const before = rule.slice(0, Number(at)).trim();
    const where = before === '' ? 'begins with' : `goes on after ${JSON.stringify(before)} with`;
    const what = kind === 'EOF' ? `the rule ends after ${JSON.stringify(before)}` : `the rule ${where} ${JSON.stringify(found)}`;
    const wanted = expected === undefined ? '' : `; what may stand there is ${expected.replaceAll("'", '').replaceAll('EOF', 'its end')}`;
    throw new CenoteError('invalid_argument', `${what}${wanted}`, { cause: error, advice });
  }
};

/** Rules name machines by id, since a rule outlives a name. */
const unknownMachine = async (context: Context, name: string, cause: CenoteError): Promise<CenoteError> => {
  const machine: Machine | undefined = await selectMachine(context, name).catch(() => undefined);
  const instead = machine === undefined ? 'the ids of machines: cenote ls -o name,id' : `write: vm ${machine.id}`;
  return new CenoteError('invalid_argument', `a rule names a machine by its whole id, and ${JSON.stringify(name)} is none`, {
    cause,
    advice: `${instead}; or name machines by a tag they have, such as: tag role = web`,
  });
};
