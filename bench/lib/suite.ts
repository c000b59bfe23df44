/** What a suite is: a program that measures, and says what it measured as rows for people and data for programs. */
import type { StoredResult } from './document.ts';
import type { BenchInstance } from './instance.ts';

export interface Row {
  what: string;
  /** As people read it. */
  value: string;
  /** What the figure is held against: a target, a floor or a peer. */
  against?: string;
  note?: string;
}

export interface Bench {
  /** The full count, or the small one of `--small`. */
  count(full: number, small: number): number;
  note(text: string): void;
  /** One instance for all suites of a run that ask; made at the first call. */
  instance(): Promise<BenchInstance>;
}

export interface SuiteResult {
  rows: Row[];
  data: Record<string, unknown>;
}

export interface Suite {
  name: string;
  title: string;
  /** How it is measured, for the document. */
  method: string;
  run(bench: Bench): Promise<SuiteResult>;
  /** Drawn from what was stored, into docs/. */
  picture?: { file: string; draw(stored: StoredResult): string };
}
