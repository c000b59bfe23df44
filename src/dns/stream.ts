/** DNS over TCP: each message stands behind its length in two bytes. */

export const frame = (message: Buffer): Buffer => {
  const result = Buffer.allocUnsafe(2 + message.length);
  result.writeUInt16BE(message.length, 0);
  message.copy(result, 2);
  return result;
};

/** Cuts a stream into messages. Holds at most one message that is not whole yet: 64 KiB. */
export class MessageFramer {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Buffer[] = [];
    while (this.#rest.length >= 2) {
      const end = 2 + this.#rest.readUInt16BE(0);
      if (this.#rest.length < end) break;
      messages.push(this.#rest.subarray(2, end));
      this.#rest = this.#rest.subarray(end);
    }
    return messages;
  }
}
