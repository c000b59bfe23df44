import assert from 'node:assert/strict';
import { it } from 'node:test';
import { checkSignal, signalNumber } from './signal.ts';

it('signals are names, numbers and places among the real-time ones', () => {
  for (const [text, number] of [
    ['SIGTERM', 15],
    ['15', 15],
    ['SIGUSR1', 10],
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['SIGRTMAX-1', 63],
    ['64', 64],
  ] as const)
    assert.equal(signalNumber(text), number, text);
  for (const text of ['SIGWHAT', 'TERM', '0', '65', 'SIGRTMIN-1', 'SIGRTMAX+1', 'SIGRTMIN+31', 'constructor', 'sigterm'])
    assert.throws(() => checkSignal('StopSignal', text), { code: 'invalid_argument', message: `StopSignal: "${text}" is not a signal` });
  checkSignal('StopSignal', '');
});
