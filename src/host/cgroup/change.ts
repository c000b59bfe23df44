/**
 * Several control files changed as one: each write first remembers what was there, and a failure puts all of it back, the last first. The
 * kernel may refuse any of them, so what it is most likely to refuse is written first, and what cannot be taken back safely last.
 */
import type { ControlFiles } from './files.ts';

export class Change implements AsyncDisposable {
  readonly files: ControlFiles;
  readonly #undo = new AsyncDisposableStack();

  constructor(files: ControlFiles) {
    this.files = files;
  }

  /** `former` is what a read gives where that is not what a write takes. What is there already is not written again. */
  put(directory: string, file: string, value: string | number, former: string | number = this.files.read(directory, file)): void {
    if (String(value) === String(former)) return;
    this.#undo.defer(() => this.files.write(directory, file, former));
    this.files.write(directory, file, value);
  }

  /** For a write that the kernel works on: beside the event loop, and tried by the caller as often as it likes. */
  async putSlowly(directory: string, file: string, former: string | number, write: () => Promise<void>): Promise<void> {
    this.#undo.defer(() => this.files.writeSlowly(directory, file, former));
    await write();
  }

  /** All of it stays. */
  keep(): void {
    this.#undo.move();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#undo.disposeAsync();
  }
}
