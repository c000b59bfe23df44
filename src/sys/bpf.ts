/** bpf(2): maps, and programs that the kernel's verifier has accepted. Each is an open descriptor, and gone when nothing holds it any more. */
import koffi from 'koffi';
import { SystemCallError, checked, declare, isErrno, undisturbed, withHighNumber } from './libc.ts';

/** Of the call, which the C library has no function for. */
const callNumbers: Partial<Record<NodeJS.Architecture, number>> = { x64: 321, arm64: 280 };
const commands = { createMap: 0, updateElement: 2, loadProgram: 5 } as const;
/** `array`: one for all processors. `perCpuArray`: each processor has elements of its own, so that programs never meet in one. */
const mapKinds = { array: 2, perCpuArray: 6 } as const;
const forQueueingDisciplines = 3;
const keyBytes = 4;
const nameBytes = 15;
const attributeBytes = 128;
const logBytes = 1024 * 1024;
/** A signal that comes in, such as of a child that has ended, ends the verifier's work: libbpf asks again as well. */
const loadAttempts = 20;
const instructionBytes = 8;
/** The kernel gives most of its helpers only to programs that say this. */
const license = Buffer.from('GPL\0');

const syscallFunction = declare('long syscall(long number, int command, void* attributes, unsigned int size)');

const bpf = (what: string, command: number, attributes: Buffer): number => {
  const number = callNumbers[process.arch];
  if (number === undefined) throw new Error(`${what}: the number of bpf(2) is not known for ${process.arch}`);
  return checked(what, syscallFunction(number, command, attributes, attributes.length) as number);
};

const named = (name: string): string => name.slice(0, nameBytes);

export interface MapShape {
  kind: keyof typeof mapKinds;
  /** As tools show it. */
  name: string;
  valueBytes: number;
  entries: number;
}

export const createMap = ({ kind, name, valueBytes, entries }: MapShape): number => {
  const attributes = Buffer.alloc(attributeBytes);
  attributes.writeUInt32LE(mapKinds[kind], 0);
  attributes.writeUInt32LE(keyBytes, 4);
  attributes.writeUInt32LE(valueBytes, 8);
  attributes.writeUInt32LE(entries, 12);
  attributes.write(named(name), 28, 'latin1');
  return withHighNumber(bpf(`make the map ${name}`, commands.createMap, attributes));
};

/** Of a map of the kind `array`. */
export const writeElement = (mapFd: number, index: number, value: Buffer): void => {
  const key = Buffer.alloc(keyBytes);
  key.writeUInt32LE(index);
  const attributes = Buffer.alloc(attributeBytes);
  attributes.writeUInt32LE(mapFd, 0);
  attributes.writeBigUInt64LE(koffi.address(key), 8);
  attributes.writeBigUInt64LE(koffi.address(value), 16);
  bpf('write to a map', commands.updateElement, attributes);
};

/** A program for links: run on each packet that comes in at one, or is about to go out. What the verifier says against it is in the error. */
export const loadProgram = (name: string, instructions: Buffer): number => {
  const attributes = Buffer.alloc(attributeBytes);
  attributes.writeUInt32LE(forQueueingDisciplines, 0);
  attributes.writeUInt32LE(instructions.length / instructionBytes, 4);
  attributes.writeBigUInt64LE(koffi.address(instructions), 8);
  attributes.writeBigUInt64LE(koffi.address(license), 16);
  attributes.write(named(name), 48, 'latin1');
  try {
    return withHighNumber(undisturbed(loadAttempts, () => bpf(`load the program ${name}`, commands.loadProgram, attributes)));
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EINVAL')) throw error;
    throw new Error(`${String(error)}\n${verifierLog(attributes)}`, { cause: error });
  }
};

/** Asked for only once a program was refused: it is long, and writing it takes time. */
const verifierLog = (attributes: Buffer): string => {
  const log = Buffer.alloc(logBytes);
  attributes.writeUInt32LE(1, 24);
  attributes.writeUInt32LE(log.length, 28);
  attributes.writeBigUInt64LE(koffi.address(log), 32);
  try {
    bpf('load it again', commands.loadProgram, attributes);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
  }
  return log.toString('latin1', 0, log.indexOf(0));
};
