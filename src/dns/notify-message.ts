/** The message that tells a secondary of a zone's new version (RFC 1996). */
import { typeCodes } from './record.ts';
import type { Zone } from './zone.ts';

const opcodeNotify = 4;
const authoritative = 0x0400;

export const notifyMessage = (id: number, zone: Zone): Buffer => {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE((opcodeNotify << 11) | authoritative, 2);
  header.writeUInt16BE(1, 4);
  const labels = zone.name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]));
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, typeCodes.SOA, 0, 1])]);
};
