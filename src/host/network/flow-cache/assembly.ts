/**
 * Programs for the kernel's virtual machine (linux/bpf.h), written as calls of this class one after another. Registers are numbers: `r0` is what
 * helpers give back, `r1` to `r5` are their arguments and lost in a call, `r6` to `r9` stay, `r10` is the end of the stack.
 */
export const [r0, r1, r2, r5, r6, r7, r8, r9, r10] = [0, 1, 2, 5, 6, 7, 8, 9, 10] as const;
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

/** Of what is read or written, in bytes. */
const sizes = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 } as const;
type Size = keyof typeof sizes;
/** With a number in place of a second register, and `fromRegister` with one. */
const operations = { add: 0x07, or: 0x47, and: 0x57, shiftLeft: 0x67, shiftRight: 0x77, xor: 0xa7, move: 0xb7, multiply: 0x27 } as const;
const conditions = { equal: 0x15, greater: 0x25, notEqual: 0x55, atMost: 0xb5 } as const;
const fromRegister = 0x08;
const codes = { load: 0x61, store: 0x63, storeNumber: 0x62, call: 0x85, exit: 0x95, wide: 0x18 } as const;
/** What the number of a wide instruction stands for. */
const wideKinds = { number: 0, map: 1, mapValue: 2 } as const;
const instructionBytes = 8;

export class Assembly {
  readonly #instructions: Buffer[] = [];
  readonly #labels = new Map<string, number>();
  /** Instructions that jump, and where to. */
  readonly #jumps: [at: number, label: string][] = [];

  load(size: Size, to: Register, from: Register, offset: number): this {
    return this.#add(codes.load | sizes[size], to, from, offset, 0);
  }

  store(size: Size, to: Register, offset: number, from: Register): this {
    return this.#add(codes.store | sizes[size], to, from, offset, 0);
  }

  storeNumber(size: Size, to: Register, offset: number, value: number): this {
    return this.#add(codes.storeNumber | sizes[size], to, 0, offset, value);
  }

  /** With all 64 bits of a register; a number is one of 32 with its sign. */
  compute(operation: keyof typeof operations, to: Register, by: { register: Register } | number): this {
    return typeof by === 'number' ? this.#add(operations[operation], to, 0, 0, by) : this.#add(operations[operation] | fromRegister, to, by.register, 0, 0);
  }

  /** Without a sign. */
  jumpIf(left: Register, condition: keyof typeof conditions, right: { register: Register } | number, label: string): this {
    this.#jumps.push([this.#instructions.length, label]);
    return typeof right === 'number'
      ? this.#add(conditions[condition], left, 0, 0, right)
      : this.#add(conditions[condition] | fromRegister, left, right.register, 0, 0);
  }

  label(name: string): this {
    this.#labels.set(name, this.#instructions.length);
    return this;
  }

  call(helper: number): this {
    return this.#add(codes.call, 0, 0, 0, helper);
  }

  exit(): this {
    return this.#add(codes.exit, 0, 0, 0, 0);
  }

  wideNumber(to: Register, value: bigint): this {
    return this.#wide(to, wideKinds.number, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  map(to: Register, fd: number): this {
    return this.#wide(to, wideKinds.map, fd, 0);
  }

  /** Where the only element of a map is. */
  mapValue(to: Register, fd: number): this {
    return this.#wide(to, wideKinds.mapValue, fd, 0);
  }

  bytes(): Buffer {
    for (const [at, label] of this.#jumps) this.#instructions[at]!.writeInt16LE(this.#labels.get(label)! - at - 1, 2);
    return Buffer.concat(this.#instructions);
  }

  #wide(to: Register, kind: number, low: number, high: number): this {
    return this.#add(codes.wide, to, kind, 0, low).#add(0, 0, 0, 0, high);
  }

  #add(code: number, to: number, from: number, offset: number, value: number): this {
    const instruction = Buffer.alloc(instructionBytes);
    instruction[0] = code;
    instruction[1] = to | (from << 4);
    instruction.writeInt16LE(offset, 2);
    instruction.writeInt32LE(value, 4);
    this.#instructions.push(instruction);
    return this;
  }
}
