/**
 * How programs come to links (linux/pkt_sched.h, pkt_cls.h): a link has a queueing discipline that queues nothing (clsact) and names two *blocks*,
 * one for what comes in and one for what goes out; a block is a list of filters that links have in common, here of one program each. So a link
 * costs one message, and putting another program in place of one is one message for all links. (Attaching one to each link, as bpf(2) can since
 * Linux 6.6, takes 14 ms of the kernel's lock of links each time.) As values: nothing here sends anything.
 */
import { attribute, nested, netlinkFlags, text, u32 } from '../../../sys/netlink.ts';
import type { NetlinkRequest } from '../../../sys/netlink.ts';
import type { Family } from '../../../model/address.ts';
import { queueAttributes, queueHeader, queueTypes } from '../traffic-control.ts';

const newFilter = 44;
const attributes = { ...queueAttributes, incomingBlock: 13, outgoingBlock: 14 } as const;
const program = { fd: 6, name: 7, flags: 8 } as const;
const disciplineHandle = 0xffff_0000;
const disciplineParent = 0xffff_fff1;
/** In place of a link's number: what is meant is a block. */
const anyLink = -1;
/** What the program gives back is the verdict. */
const actsItself = 1;
const filterHandle = 1;
const priority = 0x6364;
const frameKinds: Record<Family, number> = { 4: 0x0008, 6: 0xdd86 };

export interface Blocks {
  incoming: number;
  /** Absent: nothing looks at what goes out of the link. */
  outgoing?: number | undefined;
}

/** Fails harmlessly with EEXIST where the link names some already. */
export const addBlocks = (link: number, { incoming, outgoing }: Blocks): NetlinkRequest => ({
  type: queueTypes.newQueue,
  flags: netlinkFlags.create | netlinkFlags.exclusive,
  body: Buffer.concat([
    queueHeader(link, disciplineHandle, disciplineParent),
    attribute(attributes.kind, text('clsact')),
    attribute(attributes.incomingBlock, u32(incoming)),
    ...(outgoing === undefined ? [] : [attribute(attributes.outgoingBlock, u32(outgoing))]),
  ]),
});

/** Fails harmlessly with ENOENT or EINVAL where there are none. */
export const removeBlocks = (link: number): NetlinkRequest => ({
  type: queueTypes.deleteQueue,
  flags: 0,
  body: queueHeader(link, disciplineHandle, disciplineParent),
});

/** There is a block while links name it, and with the last of them its program goes. `add` fails harmlessly with EEXIST where it has one; `replace` with EINVAL where there is no such block. */
export const setProgram = (verb: 'add' | 'replace', block: number, family: Family, name: string, fd: number): NetlinkRequest => ({
  type: newFilter,
  flags: netlinkFlags.create | (verb === 'add' ? netlinkFlags.exclusive : 0),
  body: Buffer.concat([
    queueHeader(anyLink, filterHandle, block, ((priority << 16) | frameKinds[family]) >>> 0),
    attribute(attributes.kind, text('bpf')),
    nested(attributes.options, attribute(program.fd, u32(fd)), attribute(program.name, text(name)), attribute(program.flags, u32(actsItself))),
  ]),
});
