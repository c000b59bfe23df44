/** The kernel's messages about what is in sets of nftables. Tables are of the family `inet`. */
import { align4, attribute, attributesOf, nestedFlag, netlinkFlags, nested, parseAttributes, text, u32be } from './netlink.ts';
import type { NetlinkMessage, NetlinkRequest } from './netlink.ts';

export const nftablesSubsystem = 10;
const inetFamily = 1;
/** Of the head of every message of netfilter. */
const familyBytes = 4;

const messages = { getTable: 1, newElements: 12, getElements: 13, deleteElements: 14 } as const;
const tableAttributes = { name: 1 } as const;
const listAttributes = { table: 1, set: 2, elements: 3 } as const;
const listElement = 1;
const elementAttributes = { key: 1, data: 2, expression: 7, keyEnd: 10 } as const;
const expressionAttributes = { data: 2 } as const;
const counterAttributes = { packets: 2 } as const;
const dataAttributes = { value: 1, verdict: 2 } as const;
const verdictAttributes = { code: 1, chain: 2 } as const;
const gotoCode = -4;
/** An attribute's length is a number of 16 bits, its own head included. */
const mostElementBytes = 0xff00;

/** Keys and values are as the kernel has them: every field filled up to four bytes. */
export interface SetElement {
  key: Uint8Array;
  /** The last key of a range, in sets of intervals. */
  end?: Uint8Array | undefined;
  /** In maps. */
  value?: Uint8Array | { goto: string } | undefined;
}

export interface NftRequest extends NetlinkRequest {
  /** For whoever reads why it was refused. */
  what: string;
}

export interface ElementsChange {
  verb: 'add' | 'create' | 'delete';
  table: string;
  set: string;
  elements: readonly SetElement[];
}

export const packetFamily = (family: number, resource = 0): Buffer => Buffer.from([family, 0, resource >> 8, resource & 0xff]);

const typeOf = (message: number): number => (nftablesSubsystem << 8) | message;

const flagsOf = { add: netlinkFlags.create, create: netlinkFlags.create | netlinkFlags.exclusive, delete: 0 } as const;

/** As many messages as it takes. */
export const changeElements = ({ verb, table, set, elements }: ElementsChange): NftRequest[] => {
  const type = typeOf(verb === 'delete' ? messages.deleteElements : messages.newElements);
  const what = `${verb} element inet ${table} ${set}`;
  const message = (part: readonly Buffer[]): NftRequest => ({ type, flags: flagsOf[verb], body: elementsBody(table, set, part), what });
  const result: NftRequest[] = [];
  let part: Buffer[] = [];
  let bytes = 0;
  for (const element of elements) {
    const encoded = encodeElement(element);
    if (bytes + encoded.length > mostElementBytes) {
      result.push(message(part));
      [part, bytes] = [[], 0];
    }
    part.push(encoded);
    bytes += encoded.length;
  }
  return part.length === 0 ? result : [...result, message(part)];
};

/** The element is answered when it is there. */
export const getElement = (table: string, set: string, key: Uint8Array): NetlinkRequest => ({
  type: typeOf(messages.getElements),
  flags: 0,
  body: elementsBody(table, set, [encodeElement({ key })]),
});

/** A dump, which `countersOf` reads. */
export const listElements = (table: string, set: string): NetlinkRequest => ({
  type: typeOf(messages.getElements),
  flags: 0,
  body: Buffer.concat([packetFamily(inetFamily), attribute(listAttributes.table, text(table)), attribute(listAttributes.set, text(set))]),
});

/** Of elements that hold a counter each. */
export const countersOf = ({ body }: NetlinkMessage): { key: Buffer; packets: number }[] => {
  const list = parseAttributes(body.subarray(familyBytes)).get(listAttributes.elements) ?? Buffer.alloc(0);
  return Array.from(attributesOf(list), (element) => {
    const found = parseAttributes(element);
    const key = inside(found.get(elementAttributes.key), dataAttributes.value) ?? Buffer.alloc(0);
    const counter = inside(found.get(elementAttributes.expression), expressionAttributes.data);
    return { key, packets: Number(inside(counter, counterAttributes.packets)?.readBigUInt64BE(0) ?? 0) };
  });
};

const inside = (data: Buffer | undefined, type: number): Buffer | undefined => (data === undefined ? undefined : parseAttributes(data).get(type));

export const listTables = (): NetlinkRequest => ({ type: typeOf(messages.getTable), flags: 0, body: packetFamily(inetFamily) });

export const getTable = (table: string): NetlinkRequest => ({
  type: typeOf(messages.getTable),
  flags: 0,
  body: Buffer.concat([packetFamily(inetFamily), attribute(tableAttributes.name, text(table))]),
});

export const tableNameOf = ({ body }: NetlinkMessage): string => {
  const name = parseAttributes(body.subarray(familyBytes)).get(tableAttributes.name);
  return name?.toString('latin1').replace(/\0.*$/s, '') ?? '';
};

const elementsBody = (table: string, set: string, elements: readonly Buffer[]): Buffer =>
  Buffer.concat([
    packetFamily(inetFamily),
    attribute(listAttributes.table, text(table)),
    attribute(listAttributes.set, text(set)),
    nested(listAttributes.elements, ...elements),
  ]);

/** Written as a whole: a table of a host has thousands. */
const encodeElement = ({ key, end, value }: SetElement): Buffer => {
  const valueAttribute = value === undefined ? undefined : nested(elementAttributes.data, encodeValue(value));
  const keyBytes = 8 + align4(key.length);
  const length = 4 + keyBytes * (end === undefined ? 1 : 2) + (valueAttribute?.length ?? 0);
  const result = Buffer.alloc(length);
  writeHead(result, 0, length, listElement | nestedFlag);
  writeKey(result, 4, elementAttributes.key, key);
  if (end !== undefined) writeKey(result, 4 + keyBytes, elementAttributes.keyEnd, end);
  if (valueAttribute !== undefined) result.set(valueAttribute, length - valueAttribute.length);
  return result;
};

const writeHead = (into: Buffer, at: number, length: number, type: number): void => {
  into.writeUInt16LE(length, at);
  into.writeUInt16LE(type, at + 2);
};

const writeKey = (into: Buffer, at: number, type: number, key: Uint8Array): void => {
  writeHead(into, at, 8 + align4(key.length), type | nestedFlag);
  writeHead(into, at + 4, 4 + key.length, dataAttributes.value);
  into.set(key, at + 8);
};

const encodeValue = (value: Uint8Array | { goto: string }): Buffer =>
  'goto' in value
    ? nested(dataAttributes.verdict, attribute(verdictAttributes.code, u32be(gotoCode)), attribute(verdictAttributes.chain, text(value.goto)))
    : attribute(dataAttributes.value, value);
