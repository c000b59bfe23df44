/** Records: what a name has. Addresses and names as text, so that they are compared and shown as they are. */
import { isIPv6 } from 'node:net';
import type { Reach } from './reach.ts';

export const typeCodes = { A: 1, NS: 2, SOA: 6, PTR: 12, TXT: 16, AAAA: 28, SRV: 33 } as const;
export type RecordType = keyof typeof typeCodes;
/** That a question may have, and a record not. */
export const questionTypes = { IXFR: 251, AXFR: 252, ANY: 255 } as const;

export type RecordData =
  | { type: 'A' | 'AAAA'; address: string }
  | { type: 'NS' | 'PTR'; target: string }
  | { type: 'TXT'; text: string }
  | { type: 'SRV'; priority: number; weight: number; port: number; target: string }
  | { type: 'SOA'; primary: string; mailbox: string; serial: number; refresh: number; retry: number; expire: number; minimum: number };

export interface Record {
  name: string;
  ttl: number;
  data: RecordData;
  /** Whom it is told, where that depends on where they ask from. */
  reach?: Reach | undefined;
}

export const addressData = (address: string): RecordData => ({ type: isIPv6(address) ? 'AAAA' : 'A', address });

/** As in a zone file; the same text is the same record. */
export const dataText = (data: RecordData): string => {
  switch (data.type) {
    case 'A':
    case 'AAAA':
      return data.address;
    case 'NS':
    case 'PTR':
      return `${data.target}.`;
    case 'TXT':
      return JSON.stringify(data.text);
    case 'SRV':
      return `${data.priority} ${data.weight} ${data.port} ${data.target}.`;
    case 'SOA':
      return `${data.primary}. ${data.mailbox}. ${data.serial} ${data.refresh} ${data.retry} ${data.expire} ${data.minimum}`;
  }
};
