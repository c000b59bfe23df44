/**
 * Sandboxes: a user namespace with a uid range of its own and a network namespace made inside it, prepared ahead of the
 * requests. A slot numbers the uid range and the link; it is given out again only when everything of the old one is gone.
 */
export interface Sandbox {
  slot: number;
  /** First host uid and gid of the 65,536. */
  uidBase: number;
  /** Paths to the namespaces that the runtime joins; valid until `release`. */
  userNamespace: string;
  networkNamespace: string;
  userNamespaceFd: number;
  networkNamespaceFd: number;
  /** An open user namespace that also maps host 0, for idmapped mounts only (see linux.md: overlay's work directory). */
  idmapFd: number;
}

/** `external`: with `eth0` on the external network, waiting for its address. `none`: links are made when its machine is connected. */
export type SandboxLink = 'external' | 'none';

export interface Sandboxes {
  /** One from the pool, or made now when it is empty; `not_enough` when no uid range is left. */
  take(link: SandboxLink): Promise<Sandbox>;
  /** The running machine holds its own namespaces from now on: closes our descriptors, keeps the slot. */
  started(sandbox: Sandbox): void;
  /** The machine's processes are gone: link and slot are free for another (after the link is gone). */
  release(slot: number): void;
  /** After an agent restart: these slots belong to running machines. */
  restore(slots: number[]): Promise<void>;
  close(): Promise<void>;
}
