/** Which kernel this is. */
import { release } from 'node:os';

/** `6.18.44-cloud` is since 6.18. */
export const isKernelSince = (major: number, minor: number): boolean => {
  const [ownMajor = 0, ownMinor = 0] = release().split(/[.-]/).map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
};
