/** What sets and maps hold, as nft's language says it; and their elements, as it writes them, in the kernel's own form. */
import { addressBytes } from '../../model/address.ts';
import { align4 } from '../../sys/netlink.ts';
import type { SetElement } from '../../sys/nft-messages.ts';

/** Both ends of what a field says; the same, of a single value. */
type Ends = readonly [first: Buffer, last: Buffer];

const numbers =
  (bytes: number) =>
  (text: string): Ends => {
    const [first, last = first] = text.split('-').map((part) => {
      const value = Number(part);
      if (!/^\d+$/.test(part) || value >= 256 ** bytes) throw malformed(text);
      return Buffer.from(value.toString(16).padStart(2 * bytes, '0'), 'hex');
    });
    return [first!, last!];
  };

const protocols: Readonly<Record<string, string>> = { icmp: '1', tcp: '6', udp: '17', esp: '50', ah: '51', 'ipv6-icmp': '58' };

const single = (bytes: Buffer): Ends => [bytes, bytes];

const address = (text: string): Ends => {
  const [plain = '', length] = text.split('/');
  if (length === undefined) return single(addressBytes(text));
  const first = addressBytes(plain);
  const fixed = Number(length);
  if (!/^\d+$/.test(length) || fixed > 8 * first.length) throw malformed(text);
  const ones = (at: number): number => 0xff >> Math.min(8, Math.max(0, fixed - 8 * at));
  return [first, first.map((byte, at) => byte | ones(at)) as Buffer];
};

const linkNameBytes = 16;

const linkName = (text: string): Ends => {
  const name = /^"([^"*]{1,15})"$/.exec(text)?.[1];
  if (name === undefined) throw malformed(text);
  const bytes = Buffer.alloc(linkNameBytes);
  bytes.write(name);
  return single(bytes);
};

const mac = (text: string): Ends => {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)) throw malformed(text);
  return single(Buffer.from(text.replaceAll(':', ''), 'hex'));
};

/** A number of this processor's, unlike what is in packets: those that we run on have its lowest byte first. Marks are such too. */
const trafficClass = (text: string): Ends => {
  const [, major, minor] = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text) ?? [];
  if (major === undefined || minor === undefined) throw malformed(text);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(Number(`0x${major}`) * 0x1_0000 + Number(`0x${minor}`));
  return single(bytes);
};

const mark = (text: string): Ends => single(Buffer.from(numbers(4)(text)[0]).reverse());

const malformed = (text: string): Error => new Error(`${JSON.stringify(text)} is not what the set holds`);

const fieldTypes = {
  ifname: linkName,
  ether_addr: mac,
  ipv4_addr: address,
  ipv6_addr: address,
  inet_proto: (text: string): Ends => numbers(1)(protocols[text] ?? text),
  inet_service: numbers(2),
  icmp_type: numbers(1),
  icmp_code: numbers(1),
  icmpv6_type: numbers(1),
  icmpv6_code: numbers(1),
  classid: trafficClass,
  mark,
} as const;

export type FieldType = keyof typeof fieldTypes;

export interface SetShape {
  key: readonly FieldType[];
  /** Of a map. */
  value?: readonly FieldType[] | 'verdict';
  /** Its elements may be ranges. For sets of several fields: ranges in one field are told in another way, which is not here. */
  isInterval?: boolean;
  /** As nft's language has them, with their semicolons. */
  more?: string;
}

export const kindOf = ({ value }: SetShape): 'set' | 'map' => (value === undefined ? 'set' : 'map');

/** What stands between the braces of a declaration. */
export const declarationOf = ({ key, value, isInterval = false, more = '' }: SetShape): string => {
  const values = value === undefined ? '' : ` : ${value === 'verdict' ? value : value.join(' . ')}`;
  return `type ${key.join(' . ')}${values};${isInterval ? ' flags interval;' : ''}${more}`;
};

/** Of a map's element what it is found by; of a set's the whole. */
export const keyOf = (element: string): string => element.split(' : ', 1)[0]!;

/** Without its value, where only the key is meant. */
export const elementOf = ({ key, value, isInterval = false }: SetShape, text: string): SetElement => {
  const [keyText = '', valueText] = text.split(' : ');
  const ends = endsOf(key, keyText);
  return {
    key: together(ends, 0),
    end: isInterval ? together(ends, 1) : undefined,
    value: value === undefined || valueText === undefined ? undefined : value === 'verdict' ? verdictOf(valueText) : together(endsOf(value, valueText), 0),
  };
};

const verdictOf = (text: string): { goto: string } => {
  const chain = /^goto ([a-z0-9_]+)$/.exec(text)?.[1];
  if (chain === undefined) throw malformed(text);
  return { goto: chain };
};

const endsOf = (types: readonly FieldType[], text: string): Ends[] => {
  const parts = text.split(' . ');
  if (parts.length !== types.length) throw malformed(text);
  return parts.map((part, index) => fieldTypes[types[index]!](part));
};

/** Of several fields, each begins at a multiple of four bytes. */
const together = (fields: readonly Ends[], end: 0 | 1): Buffer => {
  if (fields.length === 1) return fields[0]![end];
  const result = Buffer.alloc(fields.reduce((sum, field) => sum + align4(field[end].length), 0));
  let at = 0;
  for (const field of fields) {
    result.set(field[end], at);
    at += align4(field[end].length);
  }
  return result;
};
