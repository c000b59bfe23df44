/** A whole zone, as a secondary takes it: its records in as few messages as they fit in, between its SOA twice. */
import { flags, responseCodes } from './query.ts';
import type { Query } from './query.ts';
import type { Record } from './record.ts';
import type { MessageWriter } from './writer.ts';
import type { Zone } from './zone.ts';

/** Up to here names can be pointed to. */
const messageBytes = 16_384;

/** Of one moment, though it is sent bit by bit. */
export const transferOf = (writer: MessageWriter, zone: Zone, query: Query): Buffer[] => {
  const messages: Buffer[] = [];
  const begin = () => {
    writer.begin(query, messageBytes);
    writer.flag(flags.authoritative);
  };
  const add = (record: Record) => {
    if (writer.add('answer', record)) return;
    messages.push(writer.finish(responseCodes.none));
    begin();
    writer.add('answer', record);
  };
  begin();
  add(zone.soa);
  for (const record of zone.records()) add(record);
  add(zone.soa);
  messages.push(writer.finish(responseCodes.none));
  return messages;
};
