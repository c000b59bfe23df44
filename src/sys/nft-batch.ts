/**
 * Transactions of nftables by messages of our own: all of one happens or none. They cost what they change. The library (nftables.ts) reads every
 * set that there is before each of its own, and of some all that is in them, whatever is to be changed.
 */
import { closeFd } from './libc.ts';
import { NftablesError } from './nftables-error.ts';
import { encode, messageTypes, netlinkFlags, netlinkProtocols, openNetlink, outcomeOf, receiveNow, sendNow } from './netlink.ts';
import { getTable, nftablesSubsystem, packetFamily } from './nft-messages.ts';
import type { NftRequest } from './nft-messages.ts';

const batchBegin = 0x10;
const batchEnd = 0x11;
const highestSequence = 0x4000_0000;

/** A socket in the network namespace in which it was made. */
export class NftSocket implements Disposable {
  readonly #fd = openNetlink(netlinkProtocols.netfilter);
  #sequence = 1;
  #closed = false;

  /** In one transaction. The kernel does it within the call, in the order given; an element that goes and one that comes in its place are never both there. */
  commit(requests: readonly NftRequest[]): void {
    if (requests.length === 0) return;
    if (this.#closed) throw new Error('nftables: closed');
    const first = this.#next(requests.length + 2);
    const last = first + requests.length;
    const frame = { flags: netlinkFlags.request, body: packetFamily(0, nftablesSubsystem) };
    const messages = [
      encode({ ...frame, type: batchBegin }, first),
      // Only failures are answered, and the last: that it was done says that all were.
      ...requests.map((request, index) => {
        const acknowledged = index === requests.length - 1 ? netlinkFlags.ack : 0;
        return encode({ ...request, flags: request.flags | netlinkFlags.request | acknowledged }, first + 1 + index);
      }),
      encode({ ...frame, type: batchEnd }, last + 1),
    ];
    sendNow(this.#fd, Buffer.concat(messages));
    const refused: string[] = [];
    let isAnswered = false;
    while (!isAnswered) {
      const answers = receiveNow(this.#fd);
      if (answers === undefined) break;
      for (const answer of answers) {
        if (answer.type !== messageTypes.error || answer.sequence < first || answer.sequence > last) continue;
        isAnswered ||= answer.sequence === last;
        const { errno, code, reason } = outcomeOf(answer);
        // What is wrong with the transaction as a whole is said of its beginning.
        const what = answer.sequence === first ? 'transaction' : requests[answer.sequence - first - 1]!.what;
        if (errno !== 0) refused.push(`${what}: ${code}${reason === '' ? '' : ` (${reason})`}`);
      }
    }
    if (refused.length > 0) throw new NftablesError(refused.join('\n'));
    if (!isAnswered) throw new NftablesError('transaction: the kernel gave no answer');
  }

  /** Whether there is such a table. */
  hasTable(name: string): boolean {
    const sequence = this.#next(1);
    const { flags, ...request } = getTable(name);
    sendNow(this.#fd, encode({ ...request, flags: flags | netlinkFlags.request | netlinkFlags.ack }, sequence));
    for (let answers = receiveNow(this.#fd); answers !== undefined; answers = receiveNow(this.#fd)) {
      const answer = answers.find((one) => one.type === messageTypes.error && one.sequence === sequence);
      if (answer === undefined) continue;
      const { errno, code } = outcomeOf(answer);
      if (errno !== 0 && code !== 'ENOENT') throw new NftablesError(`get table inet ${name}: ${code}`);
      return errno === 0;
    }
    throw new NftablesError(`get table inet ${name}: the kernel gave no answer`);
  }

  #next(count: number): number {
    const first = this.#sequence > highestSequence ? 1 : this.#sequence;
    this.#sequence = first + count;
    return first;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }
}
