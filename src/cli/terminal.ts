/** Our own terminal while something else uses it: raw keys, window size; given back as it was however the command ends. */

export interface TerminalOptions {
  raw: boolean;
  onResize: () => void;
}

export const takeTerminal = ({ raw, onResize }: TerminalOptions): Disposable => {
  const { stdin } = process;
  const wasRaw = stdin.isTTY && stdin.isRaw;
  const restore = (): void => {
    if (stdin.isTTY) stdin.setRawMode(wasRaw);
  };
  if (raw && stdin.isTTY) stdin.setRawMode(true);
  process.on('SIGWINCH', onResize);
  // An error nobody caught, or process.exit, comes by here.
  process.on('exit', restore);
  return {
    [Symbol.dispose]: () => {
      process.off('SIGWINCH', onResize);
      process.off('exit', restore);
      restore();
    },
  };
};
