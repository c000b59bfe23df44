/** Keys that end a screen that goes on. */

/** `q` and Ctrl-C, without which a terminal in line mode would show what is typed into the table. */
export const quitKeys = (): Disposable & { signal: AbortSignal } => {
  const quit = new AbortController();
  const { stdin } = process;
  const onKey = (keys: Buffer): void => {
    if (keys.includes('q') || keys.includes(3)) quit.abort();
  };
  if (stdin.isTTY) stdin.setRawMode(true).on('data', onKey);
  return {
    signal: quit.signal,
    [Symbol.dispose]: () => {
      if (!stdin.isTTY) return;
      stdin.off('data', onKey).setRawMode(false);
      stdin.pause();
    },
  };
};
