/** The answer to a question from zones that we know whole: the records, that there are none, or that there is no such name. */
import { randomInt } from 'node:crypto';
import { flags, responseCodes } from './query.ts';
import type { Query } from './query.ts';
import { reaches } from './reach.ts';
import type { Asker } from './reach.ts';
import { questionTypes, typeCodes } from './record.ts';
import type { Record, RecordType } from './record.ts';
import { datagramBytes, longestMessage } from './writer.ts';
import type { MessageWriter } from './writer.ts';
import type { Entry, Node, Zone } from './zone.ts';

/** Without EDNS. */
const plainDatagramBytes = 512;
const typeNames = new Map<number, RecordType>((Object.keys(typeCodes) as RecordType[]).map((type) => [typeCodes[type], type]));

/** How long an answer in a datagram may be: never longer than the asker says, nor than what passes unfragmented. */
export const datagramLimit = ({ edns }: Query): number =>
  edns === null ? plainDatagramBytes : Math.max(plainDatagramBytes, Math.min(edns.size, datagramBytes));

/** `zone` is the one that the name is in. `bits`: flags of whoever answers. `asker`: told what it reaches; absent: all. */
export const answerFrom = (writer: MessageWriter, zone: Zone, query: Query, limit: number, bits: number = 0, asker?: Asker): Buffer => {
  writer.begin(query, limit);
  writer.flag(flags.authoritative | bits);
  const node = zone.node(query.name);
  if (node === undefined) {
    writer.add('authority', zone.soa);
    return writer.finish(responseCodes.noSuchName);
  }
  const type = chosenType(query, zone, node, asker);
  const records = type === undefined ? [] : recordsOf(zone, query.name, node, type, asker);
  if (records.length === 0) writer.add('authority', zone.soa);
  // Part of a set is of no use where the whole one is to be had over TCP; over TCP as many are told as a message holds.
  else if (!inTurn(records).every((record) => writer.add('answer', record)) && limit < longestMessage) {
    writer.clear();
    writer.flag(flags.truncated);
  } else if (type === 'SRV' || type === 'NS') addAddresses(writer, zone, records, asker);
  return writer.finish(responseCodes.none);
};

/** An answer without records. */
export const answerEmpty = (writer: MessageWriter, query: Query, code: number, bits: number = 0): Buffer => {
  writer.begin(query, plainDatagramBytes);
  writer.flag(bits);
  return writer.finish(code);
};

/** Of whoever asks for everything, one set is enough (RFC 8482): the answer to a small question stays small. */
const chosenType = (query: Query, zone: Zone, node: Node, asker?: Asker): RecordType | undefined => {
  if (query.type !== questionTypes.ANY) return typeNames.get(query.type);
  if (query.name === zone.name) return 'SOA';
  for (const [type, entries] of node.sets) if (told(entries, asker).length > 0) return type;
  return undefined;
};

const told = (entries: Entry[], asker: Asker | undefined): Entry[] => (asker === undefined ? entries : entries.filter(({ reach }) => reaches(asker, reach)));

/** Whether there is anything to be told of the name. */
export const tellsOf = (zone: Zone, name: string, asker: Asker | undefined): boolean =>
  zone
    .node(name)
    ?.sets.values()
    .some((entries) => told(entries, asker).length > 0) === true;

const recordsOf = (zone: Zone, name: string, node: Node, type: RecordType, asker?: Asker): Record[] =>
  type === 'SOA' ? (name === zone.name ? [zone.soa] : []) : told(node.sets.get(type) ?? [], asker).map(({ ttl, data }) => ({ name, ttl, data }));

/** Each time beginning with another one: many clients take the first. */
const inTurn = (records: Record[]): Record[] => {
  if (records.length < 2) return records;
  const from = randomInt(records.length);
  return [...records.slice(from), ...records.slice(0, from)];
};

/** As many as there is room for. */
const addAddresses = (writer: MessageWriter, zone: Zone, records: readonly Record[], asker?: Asker): void => {
  for (const target of new Set(records.map(({ data }) => ('target' in data ? data.target : '')))) {
    const { sets } = zone.node(target) ?? { sets: new Map() as Node['sets'] };
    for (const type of ['A', 'AAAA'] as const)
      for (const { ttl, data } of told(sets.get(type) ?? [], asker)) if (!writer.add('additional', { name: target, ttl, data })) return;
  }
};
