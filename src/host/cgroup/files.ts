/** Reading and writing control files. They are answered by the kernel from memory, in microseconds, so the calls are synchronous. */
import { readFileSync, readdirSync, writeFileSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../sys/libc.ts';

export const readText = (directory: string, file: string): string => readFileSync(join(directory, file), 'utf8').trim();

/** A number; `max` and v1's largest page count are Infinity. */
export const readNumber = (directory: string, file: string): number => {
  const text = readText(directory, file);
  const value = text === 'max' ? Infinity : Number(text);
  return value >= 2 ** 62 ? Infinity : value;
};

/** A file of `key value` lines. */
export const readTable = (directory: string, file: string): Record<string, number> =>
  Object.fromEntries(
    readText(directory, file)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [key, value] = line.split(' ');
        return [key!, Number(value)];
      }),
  );

export const readPids = (directory: string): number[] => readText(directory, 'cgroup.procs').split('\n').filter(Boolean).map(Number);

export const write = (directory: string, file: string, value: string | number): void => writeFileSync(join(directory, file), String(value));

export const makeGroup = (directory: string): void => {
  mkdirSync(directory, { recursive: true });
};

export const childGroups = (directory: string): string[] => {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
};

/** Removes a group and the groups inside it; false while something still runs there. */
export const removeGroup = (directory: string): boolean => {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (!isErrno(error, 'EBUSY', 'ENOTEMPTY')) throw error;
  }
  const inner = childGroups(directory).map((name) => removeGroup(join(directory, name)));
  if (inner.length === 0 || inner.includes(false)) return false;
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (isErrno(error, 'EBUSY')) return false;
    throw error;
  }
};

/** Runs a read that may find the group gone; null then. */
export const ifPresent = <T>(read: () => T): T | null => {
  try {
    return read();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return null;
    throw error;
  }
};
