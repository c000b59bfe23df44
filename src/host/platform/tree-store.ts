/**
 * Images and platforms on disk. A tree holds `root`, what machines see, and `meta.json`, what it is; both are sealed together, so a tree
 * is there with its record or not at all. The records of all trees are kept in memory, read once at the start.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CenoteError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { run } from '../../exec/run.ts';
import type { Image, Platform } from '../../model/image.ts';
import type { Storage, TreeKind } from '../storage/storage.ts';

export type TreeRecord =
  /** `empty`: nothing in it, so a machine's root can do without it. `hash`: of a built-in one's content. */
  | { what: 'image'; image: Image; empty: boolean; hash: string | null }
  | { what: 'host-template'; hash: string; createdAt: string; sizeMib: number }
  | { what: 'platform'; platform: Platform };

export interface Tree {
  id: string;
  record: TreeRecord;
}

const kindOf = (record: TreeRecord): TreeKind => (record.what === 'image' ? 'image' : 'platform');
export const createdAtOf = (record: TreeRecord): string =>
  record.what === 'image' ? record.image.createdAt : record.what === 'platform' ? record.platform.createdAt : record.createdAt;

export class TreeStore {
  readonly #storage: Storage;
  readonly #trees = new Map<string, Tree>();

  private constructor(storage: Storage) {
    this.#storage = storage;
  }

  static async open(storage: Storage, logger: Logger): Promise<TreeStore> {
    const store = new TreeStore(storage);
    for (const kind of ['image', 'platform'] as const) {
      for (const id of await storage.treeList(kind)) {
        try {
          const record = JSON.parse(await readFile(join(storage.treePath(kind, id), 'meta.json'), 'utf8')) as TreeRecord;
          store.#trees.set(`${kind}/${id}`, { id, record });
        } catch (error) {
          logger.error({ component: 'platform', kind, id, error: messageOf(error) }, 'a tree without a readable record is left alone');
        }
      }
    }
    return store;
  }

  /** Newest first. */
  all(): Tree[] {
    return [...this.#trees.values()].toSorted((a, b) => createdAtOf(b.record).localeCompare(createdAtOf(a.record)));
  }

  root(tree: Tree): string {
    return join(this.#storage.treePath(kindOf(tree.record), tree.id), 'root');
  }

  /** Makes a tree whole or not at all: `fill` gets the empty root and says what it has become. Durable when it returns. */
  async make(kind: TreeKind, id: string, fill: (root: string) => Promise<TreeRecord>): Promise<Tree> {
    await using undo = new AsyncDisposableStack();
    await this.#storage.treeDelete(kind, id); // what an interrupted attempt of the same name left
    const stage = await this.#storage.treeStage(kind, id);
    undo.defer(() => this.#storage.treeDelete(kind, id));
    const root = join(stage, 'root');
    await mkdir(root);
    const record = await fill(root);
    // Some programs that fill it set it to their own liking; every user in a machine must be able to enter its root.
    await chmod(root, 0o755);
    await writeFile(join(stage, 'meta.json'), `${JSON.stringify(record, null, 2)}\n`);
    await this.#storage.treeSeal(kind, id);
    await this.#storage.commit();
    undo.move();
    const tree = { id, record };
    this.#trees.set(`${kind}/${id}`, tree);
    return tree;
  }

  async delete(tree: Tree): Promise<void> {
    const kind = kindOf(tree.record);
    this.#trees.delete(`${kind}/${tree.id}`);
    await this.#storage.treeDelete(kind, tree.id);
    await this.#storage.commit();
  }
}

/** Size of a directory in MiB, as its files say. */
export const sizeMibOf = async (path: string): Promise<number> => {
  const said = await run('du', ['--summarize', '--bytes', '--one-file-system', '--', path], { timeoutMs: 600_000 });
  const bytes = Number(said.split('\t')[0]);
  if (!Number.isFinite(bytes)) throw new CenoteError('internal', 'du gave no number', { context: { said } });
  return Math.round((bytes / (1024 * 1024)) * 10) / 10;
};
