/**
 * A zone in memory: what its names have, by whom it was said. A machine says all it has to say at once, and again when it has changed; what
 * two of them say alike is there once, and goes with the last of them. A change costs what the machine says, not what the zone has.
 */
import { isBeneath, parentOf } from './name.ts';
import { dataText } from './record.ts';
import type { Reach } from './reach.ts';
import type { Record, RecordData, RecordType } from './record.ts';

export interface Entry {
  ttl: number;
  data: RecordData;
  text: string;
  reach?: Reach | undefined;
  said: number;
}

export interface Node {
  sets: Map<RecordType, Entry[]>;
  /** Names right below it: with those it exists though it has nothing itself. */
  below: number;
}

export interface ZoneOptions {
  name: string;
  /** Names of its servers; the first is where its changes come from. */
  servers: readonly string[];
  serial: number;
}

/** How long a secondary waits before it asks again, and how long it believes what it has while nobody answers; seconds. */
const timers = { refresh: 300, retry: 60, expire: 604_800 } as const;
/** How long it is believed that there is no such name. */
const negativeTtl = 5;
export const apexTtl = 300;

export class Zone {
  readonly name: string;
  readonly #nodes = new Map<string, Node>();
  readonly #said = new Map<string, Map<string, Record>>();
  readonly #servers: readonly string[];
  serial: number;

  constructor({ name, servers, serial }: ZoneOptions) {
    this.name = name;
    this.serial = serial;
    this.#servers = servers;
    this.#nodes.set(name, { sets: new Map(), below: 0 });
    this.replace(
      '',
      servers.map((target) => ({ name, ttl: apexTtl, data: { type: 'NS', target } })),
    );
  }

  get soa(): Record {
    const primary = this.#servers[0]!;
    const data: RecordData = { type: 'SOA', primary, mailbox: `hostmaster.${this.name}`, serial: this.serial, ...timers, minimum: negativeTtl };
    return { name: this.name, ttl: negativeTtl, data };
  }

  get names(): number {
    return this.#nodes.size;
  }

  /** What `who` has to say from now on, in place of what it said before; records of other zones are passed over. Whether anything has changed. */
  replace(who: string, records: readonly Record[]): boolean {
    const former = this.#said.get(who) ?? new Map<string, Record>();
    const wanted = new Map(records.filter(({ name }) => isBeneath(name, this.name)).map((record) => [keyOf(record), record]));
    let changed = false;
    // Added before the old is dropped: a name that stays is never absent.
    for (const [key, record] of wanted) if (!former.has(key)) changed = this.#add(record) || changed;
    for (const [key, record] of former) if (!wanted.has(key)) changed = this.#drop(record) || changed;
    if (wanted.size === 0) this.#said.delete(who);
    else this.#said.set(who, wanted);
    return changed;
  }

  /** Who has something to say here. */
  get speakers(): Iterable<string> {
    return this.#said.keys();
  }

  node(name: string): Node | undefined {
    return this.#nodes.get(name);
  }

  /** All but SOA. */
  *records(): Generator<Record> {
    for (const [name, { sets }] of this.#nodes) for (const entries of sets.values()) for (const { ttl, data } of entries) yield { name, ttl, data };
  }

  #add({ name, ttl, data, reach }: Record): boolean {
    const { sets } = this.#make(name);
    const entries = sets.get(data.type) ?? [];
    sets.set(data.type, entries);
    const text = dataText(data);
    const known = entries.find((entry) => isSame(entry, text, reach));
    if (known === undefined) entries.push({ ttl, data, text, reach, said: 1 });
    else known.said += 1;
    return known === undefined;
  }

  #drop({ name, data, reach }: Record): boolean {
    const { sets } = this.#nodes.get(name)!;
    const entries = sets.get(data.type)!;
    const text = dataText(data);
    const index = entries.findIndex((entry) => isSame(entry, text, reach));
    entries[index]!.said -= 1;
    if (entries[index]!.said > 0) return false;
    entries.splice(index, 1);
    if (entries.length === 0) sets.delete(data.type);
    this.#prune(name);
    return true;
  }

  #make(name: string): Node {
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const made: Node = { sets: new Map(), below: 0 };
    this.#nodes.set(name, made);
    this.#make(parentOf(name)).below += 1;
    return made;
  }

  #prune(name: string): void {
    const node = this.#nodes.get(name)!;
    if (name === this.name || node.sets.size > 0 || node.below > 0) return;
    this.#nodes.delete(name);
    this.#nodes.get(parentOf(name))!.below -= 1;
    this.#prune(parentOf(name));
  }
}

const isSame = (entry: Entry, text: string, reach: Reach | undefined): boolean => entry.text === text && entry.reach?.key === reach?.key;
const keyOf = ({ name, ttl, data, reach }: Record): string => `${name} ${ttl} ${data.type} ${reach?.key ?? ''} ${dataText(data)}`;

/** Several zones: the one a name is in. */
export class Zones {
  readonly #byName = new Map<string, Zone>();

  add(zone: Zone): void {
    this.#byName.set(zone.name, zone);
  }

  get(name: string): Zone | undefined {
    return this.#byName.get(name);
  }

  all(): Iterable<Zone> {
    return this.#byName.values();
  }

  of(name: string): Zone | undefined {
    for (let at = name; at !== ''; at = parentOf(at)) {
      const zone = this.#byName.get(at);
      if (zone !== undefined) return zone;
    }
    return undefined;
  }
}
