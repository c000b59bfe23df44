/** What messages about queues, their classes and filters have in common (linux/rtnetlink.h, pkt_sched.h). As values: nothing here sends anything. */
export const queueTypes = { newQueue: 36, deleteQueue: 37, getQueue: 38 } as const;
export const queueAttributes = { kind: 1, options: 2 } as const;
/** The parent of a link's outermost queue. */
export const atRoot = 0xffff_ffff;

export const queueHeaderBytes = 20;

/** `struct tcmsg`. `info` is only of filters. */
export const queueHeader = (link: number, handle: number, parent: number, info = 0): Buffer => {
  const header = Buffer.alloc(queueHeaderBytes);
  header.writeInt32LE(link, 4);
  header.writeUInt32LE(handle, 8);
  header.writeUInt32LE(parent, 12);
  header.writeUInt32LE(info, 16);
  return header;
};
