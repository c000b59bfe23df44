/**
 * Reading btrfs's own trees (TREE_SEARCH_V2): which subvolumes exist, and which extents a subvolume refers to. The kernel answers
 * with every item between two keys, so the type is filtered here.
 */
import { ioctl } from './ioctl.ts';

const treeSearch = 0xc0709411;
const keySize = 104;
const itemsOffset = 112;
const headerSize = 32;
const answerSize = 512 * 1024;

const rootTree = 1n;
const rootItem = 132;
/** Offset of `refs` in struct btrfs_root_item. */
const rootItemReferences = 216;
const rootReference = 156;
const extentData = 108;
const firstSubvolume = 256n;
const lastId = 2n ** 64n - 256n;
const largest = 2n ** 64n - 1n;

interface Item {
  objectId: bigint;
  offset: bigint;
  type: number;
  data: Buffer;
}

/** Items in key order, from the first to the last object of a tree; tree 0 is that of the descriptor's subvolume. */
async function* items(fd: number, tree: bigint, type: number, lastObject: bigint): AsyncGenerator<Item> {
  let [objectId, fromType, offset] = [firstSubvolume, type, 0n];
  for (;;) {
    const memory = Buffer.alloc(itemsOffset + answerSize);
    for (const [index, value] of [tree, objectId, lastObject, offset, largest, 0n, largest].entries()) memory.writeBigUInt64LE(value, index * 8);
    memory.writeUInt32LE(fromType, 56);
    memory.writeUInt32LE(type, 60);
    memory.writeUInt32LE(0xffffffff, 64);
    memory.writeBigUInt64LE(BigInt(answerSize), keySize);
    await ioctl('search btrfs tree', fd, treeSearch, memory);
    const count = memory.readUInt32LE(64);
    if (count === 0) return;
    let at = itemsOffset;
    for (let index = 0; index < count; index += 1) {
      [objectId, offset, fromType] = [memory.readBigUInt64LE(at + 8), memory.readBigUInt64LE(at + 16), memory.readUInt32LE(at + 24)];
      const length = memory.readUInt32LE(at + 28);
      at += headerSize;
      if (fromType === type) yield { objectId, offset, type: fromType, data: memory.subarray(at, at + length) };
      at += length;
    }
    if (offset < largest) offset += 1n;
    else if (fromType < 255) [fromType, offset] = [fromType + 1, 0n];
    else [objectId, fromType, offset] = [objectId + 1n, 0, 0n];
  }
}

export interface Subvolumes {
  /** All there are, also deleted ones whose space the kernel has not given back yet. */
  ids: Set<bigint>;
  /** How many are deleted and not yet dropped. */
  dying: number;
}

export const subvolumesAll = async (poolFd: number): Promise<Subvolumes> => {
  const found: Subvolumes = { ids: new Set(), dying: 0 };
  for await (const { objectId, data } of items(poolFd, rootTree, rootItem, lastId)) {
    found.ids.add(objectId);
    if (data.readUInt32LE(rootItemReferences) === 0) found.dying += 1;
  }
  return found;
};

/** Ids of the subvolumes inside this one, innermost first: the order in which they can be deleted. */
export const subvolumesInside = async (poolFd: number, id: bigint): Promise<bigint[]> => {
  const children = new Map<bigint, bigint[]>();
  for await (const item of items(poolFd, rootTree, rootReference, lastId)) children.set(item.objectId, [...(children.get(item.objectId) ?? []), item.offset]);
  const found: bigint[] = [];
  const pending = [id];
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    const inside = children.get(parent) ?? [];
    found.unshift(...inside);
    pending.push(...inside);
  }
  return found;
};

/** The data extents a subvolume refers to: place on disk and size there. Null when there are more than `limit`. */
export const subvolumeExtents = async (fd: number, limit: number): Promise<Map<bigint, number> | null> => {
  const found = new Map<bigint, number>();
  for await (const { data } of items(fd, 0n, extentData, lastId)) {
    // struct btrfs_file_extent_item: type at 20 (0 is inline), disk_bytenr at 21 (0 is a hole), disk_num_bytes at 29
    if (data.length < 37 || data.readUInt8(20) === 0) continue;
    const place = data.readBigUInt64LE(21);
    if (place !== 0n) found.set(place, Number(data.readBigUInt64LE(29)));
    if (found.size > limit) return null;
  }
  return found;
};
