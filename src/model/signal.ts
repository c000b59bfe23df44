/** Signals as image configurations name them. */
import { constants } from 'node:os';
import { invalid } from '../base/errors.ts';

/** As programs see them: glibc keeps the two before for itself. */
const [firstRealTime, last] = [34, 64];

/** `SIGTERM`, `SIGRTMIN+3`, `SIGRTMAX-1` or a number; undefined for what is none. */
export const signalNumber = (text: string): number | undefined => {
  const realTime = /^SIGRT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(text);
  const number =
    realTime === null
      ? /^\d{1,2}$/.test(text)
        ? Number(text)
        : constants.signals[text as NodeJS.Signals]
      : (realTime[1] === 'MIN' ? firstRealTime : last) + Number(`${realTime[2] ?? '+'}${realTime[3] ?? 0}`);
  return number !== undefined && number >= (realTime === null ? 1 : firstRealTime) && number <= last ? number : undefined;
};

export const checkSignal = (field: string, text: string): void => {
  if (text !== '' && signalNumber(text) === undefined)
    throw invalid(field, `${JSON.stringify(text)} is not a signal`, 'write one such as SIGTERM, SIGQUIT or SIGRTMIN+3');
};

/** Of an image: what was accepted before signals were checked counts as none. */
export const stopSignal = (text: string | undefined): number => signalNumber(text ?? '') ?? constants.signals.SIGTERM;
