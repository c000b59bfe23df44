/** Whether a process would notice a signal, from the text of /proc/PID/status: it is caught, or held back to be taken later. */
export const heeds = (status: string, signal: number): boolean => {
  const bit = 1n << BigInt(signal - 1);
  return ['SigCgt', 'SigBlk'].some((set) => (BigInt(`0x${new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`) & bit) !== 0n);
};
