/**
 * ioctl(2). The asynchronous form runs on the thread pool and is the one to use where the kernel may sleep (a file system that is
 * just committing holds even a directory's creation back); the plain form is for questions that are answered from memory.
 */
import { callAsync, checked, declare } from './libc.ts';

const withMemory = declare('int ioctl(int fd, unsigned long request, void* argument)');
const withNumber = declare('int ioctl(int fd, unsigned long request, long argument)');

/** The argument comes back, filled in; that also keeps it alive while the kernel has its address. */
export const ioctl = async (what: string, fd: number, request: number, argument: Buffer): Promise<Buffer> => {
  await callAsync(what, withMemory, fd, request, argument);
  return argument;
};

export const ioctlNow = (what: string, fd: number, request: number, argument: Buffer | number): number =>
  checked(what, (typeof argument === 'number' ? withNumber : withMemory)(fd, request, argument) as number);
