/**
 * Machines as lists show them, ready to be sent: to read a row and write it again in CloudAPI's words is most of what a long list costs. A text is
 * kept by all that it was made from, the whole row and how it is looked at, so it is what would be made of them now.
 */
import type { Machine } from '../../../model/control-api.ts';
import { machineWire } from './machine.ts';
import type { MachineView } from './machine.ts';

/** Of some two kilobytes each, the row included. */
const mostTexts = 20_000;

export class MachineTexts {
  readonly #byView = new Map<string, Map<string, string>>();
  /** Of texts, and of views. */
  #count = 0;

  /** `rows`: machines as the store has them, JSON. */
  of(rows: readonly string[], view: MachineView): string[] {
    const known = this.#ofView(view);
    return rows.map((row) => {
      const kept = known.get(row);
      if (kept !== undefined) return kept;
      const text = JSON.stringify(machineWire(JSON.parse(row) as Machine, view));
      known.set(row, text);
      this.#count += 1;
      return text;
    });
  }

  #ofView({ places, datacenter, version }: MachineView): Map<string, string> {
    if (this.#count >= mostTexts) {
      this.#byView.clear();
      this.#count = 0;
    }
    const key = JSON.stringify([datacenter, version, [...places]]);
    const known = this.#byView.get(key);
    if (known !== undefined) return known;
    const made = new Map<string, string>();
    this.#byView.set(key, made);
    this.#count += 1;
    return made;
  }
}
