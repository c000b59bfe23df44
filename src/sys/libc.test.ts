import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getSystemErrorName } from 'node:util';
import { SystemCallError, undisturbed } from './libc.ts';

test('an error is called as Node calls it', () => {
  for (const errno of [1, 2, 4, 11, 16, 22, 28]) assert.equal(new SystemCallError('probe', errno).code, getSystemErrorName(-errno));
});

test('what is broken off is asked for again, so often, and nothing else is', () => {
  const failing = (errno: number, times: number) => {
    let asked = 0;
    const ask = (): number => {
      asked += 1;
      if (asked <= times) throw new SystemCallError('probe', errno);
      return asked;
    };
    return { ask, asked: () => asked };
  };
  assert.equal(undisturbed(3, failing(11, 2).ask), 3);
  const [always, other] = [failing(11, 9), failing(22, 9)];
  assert.throws(() => undisturbed(3, always.ask), { code: 'EAGAIN' });
  assert.equal(always.asked(), 3);
  assert.throws(() => undisturbed(3, other.ask), { code: 'EINVAL' });
  assert.equal(other.asked(), 1);
});
