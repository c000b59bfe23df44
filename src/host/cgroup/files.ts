/** Reading and writing control files. They are answered by the kernel from memory, in microseconds, so the calls are synchronous but where it has to reclaim. */
import { readFileSync, readdirSync, writeFileSync, mkdirSync, rmdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../sys/libc.ts';

export const readText = (directory: string, file: string): string => readFileSync(join(directory, file), 'utf8').trim();

/** What a change of limits needs of a tree of control files. */
export interface ControlFiles {
  /** The content without its last newline; null where there is no such file. */
  find(directory: string, file: string): string | null;
  read(directory: string, file: string): string;
  write(directory: string, file: string, value: string | number): void;
  writeSlowly(directory: string, file: string, value: string | number): Promise<void>;
}

export const kernelFiles: ControlFiles = {
  find: (directory, file) => ifPresent(() => readText(directory, file)),
  read: (directory, file) => readText(directory, file),
  write: (directory, file, value) => write(directory, file, value),
  writeSlowly: (directory, file, value) => writeFile(join(directory, file), String(value), { flag: 'r+' }),
};

/** `max` and v1's largest page count are Infinity. */
export const numberOf = (text: string): number => {
  const value = text === 'max' ? Infinity : Number(text);
  return value >= 2 ** 62 ? Infinity : value;
};

/** A number; `max` and v1's largest page count are Infinity. */
export const readNumber = (directory: string, file: string): number => numberOf(readText(directory, file));

/** A file of `key value` lines. */
export const readTable = (directory: string, file: string): Record<string, number> => tableOf(readText(directory, file));

export const tableOf = (text: string): Record<string, number> =>
  Object.fromEntries(
    text
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
