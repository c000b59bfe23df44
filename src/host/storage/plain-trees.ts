/** Trees as plain directories, for the drivers without a pool: whole or absent, read-only by agreement only. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CenoteError } from '../../base/errors.ts';
import { checkTreeId } from './names.ts';
import type { TreeKind } from './storage.ts';

export class PlainTrees {
  readonly #root: string;
  #discarded = 0;

  constructor(root: string) {
    this.#root = root;
  }

  /** What a crash left in staging is removed. */
  async open(): Promise<void> {
    await rm(join(this.#root, 'staging'), { recursive: true, force: true });
    for (const name of ['staging', 'trees/image', 'trees/platform', 'volumes']) await mkdir(join(this.#root, name), { recursive: true, mode: 0o700 });
  }

  path(kind: TreeKind, id: string): string {
    return join(this.#root, 'trees', kind, checkTreeId(id));
  }

  async stage(kind: TreeKind, id: string): Promise<string> {
    const staged = this.#staged(kind, id);
    await rm(staged, { recursive: true, force: true });
    await mkdir(staged, { mode: 0o755 });
    return staged;
  }

  async seal(kind: TreeKind, id: string): Promise<void> {
    const staged = this.#staged(kind, id);
    if (existsSync(this.path(kind, id))) return rm(staged, { recursive: true, force: true });
    if (!existsSync(staged)) throw new CenoteError('not_found', `there is no staged ${kind} ${id}`);
    await rename(staged, this.path(kind, id));
  }

  async delete(kind: TreeKind, id: string): Promise<void> {
    await rm(this.#staged(kind, id), { recursive: true, force: true });
    await this.discard(this.path(kind, id));
  }

  list(kind: TreeKind): Promise<string[]> {
    return readdir(join(this.#root, 'trees', kind));
  }

  /** Gone from its place at once, whatever its size; a crash leaves the rest in staging. */
  async discard(path: string): Promise<void> {
    if (!existsSync(path)) return;
    this.#discarded += 1;
    const gone = join(this.#root, 'staging', `discarded.${this.#discarded}`);
    await rename(path, gone);
    await rm(gone, { recursive: true, force: true });
  }

  #staged(kind: TreeKind, id: string): string {
    return join(this.#root, 'staging', `${kind}.${checkTreeId(id)}`);
  }
}
