/** Progress in lines: what was done, what came of it, and how long it took. A step that takes long says what it is at. */
const quietMs = 2000;

export interface Step {
  /** What is being done now; shown when it takes long. */
  at(text: string): void;
}

export class Progress {
  readonly #note: (text: string) => void;

  constructor(note: (text: string) => void) {
    this.#note = note;
  }

  note(text: string): void {
    this.#note(text);
  }

  /** Runs `work`; what it returns as `said` ends the line. */
  async step<Result extends { said: string }>(name: string, work: (step: Step) => Promise<Result>): Promise<Result> {
    const start = performance.now();
    let shown = start;
    const at = (text: string) => {
      const now = performance.now();
      if (now - shown < quietMs) return;
      shown = now;
      this.#note(`  ${name}: ${text.trim().slice(0, 120)} …`);
    };
    const result = await work({ at });
    this.#note(`  ${name.padEnd(9)} ${result.said} (${formatMs(performance.now() - start)})`);
    return result;
  }
}

export const formatMs = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
