/**
 * Who is at the other end of a unix socket, as the kernel recorded it when the connection was made, and the names of users and groups.
 * Needs no privilege. The one file of sys that the control plane uses.
 */
import { readFileSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import koffi from 'koffi';
import { CenoteError } from '../base/errors.ts';
import { checked, declare } from './libc.ts';

const getsockopt = declare('int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *length)');
const solSocket = 1;
const soPeerCred = 17;
const soPeerGroups = 59;
const rangeErrno = 34;

export interface Peer {
  pid: number;
  uid: number;
  /** The primary group and all others the process had. */
  gids: number[];
}

/** Only that: a peer that is not trusted may be in very many groups. */
export const peerUidOf = (socket: Socket): number => option(fdOf(socket), soPeerCred, Buffer.alloc(12)).readUInt32LE(4);

const fdOf = (socket: Socket): number => {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) throw new CenoteError('unauthorized', 'the connection is gone');
  return fd;
};

export const peerOf = (socket: Socket): Peer => {
  const fd = fdOf(socket);
  const credentials = option(fd, soPeerCred, Buffer.alloc(12));
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4), gids: [credentials.readUInt32LE(8), ...groupsOf(fd)] };
};

const option = (fd: number, name: number, value: Buffer): Buffer => {
  const length = [value.length];
  checked('getsockopt', getsockopt(fd, solSocket, name, value, length) as number);
  return value.subarray(0, length[0]);
};

/** A process may be in very many groups; the kernel says how much room they need when there is too little. */
const groupsOf = (fd: number): number[] => {
  const length = [256];
  let value = Buffer.alloc(256);
  let result = getsockopt(fd, solSocket, soPeerGroups, value, length) as number;
  if (result === -1 && koffi.errno() === rangeErrno) {
    value = Buffer.alloc(length[0]!);
    result = getsockopt(fd, solSocket, soPeerGroups, value, length) as number;
  }
  checked('getsockopt', result);
  return Array.from({ length: length[0]! / 4 }, (_, index) => value.readUInt32LE(index * 4));
};

interface Group {
  name: string;
  gid: number;
  members: string[];
}

/** /etc/passwd and /etc/group, read again only when they have changed. */
export class UserNames {
  readonly #users: ChangingFile<Map<number, string>>;
  readonly #groups: ChangingFile<Group[]>;

  constructor(passwdPath = '/etc/passwd', groupPath = '/etc/group') {
    this.#users = new ChangingFile(passwdPath, parseUsers);
    this.#groups = new ChangingFile(groupPath, parseGroups);
  }

  userName(uid: number): string | undefined {
    return this.#users.read()?.get(uid);
  }

  groupId(name: string): number | undefined {
    return this.#groups.read()?.find((group) => group.name === name)?.gid;
  }

  /** Groups a user was put into, whether or not the process at hand has been told yet. */
  groupsOfUser(name: string): number[] {
    return (this.#groups.read() ?? []).filter((group) => group.members.includes(name)).map((group) => group.gid);
  }
}

class ChangingFile<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #version = '';
  #value: T | undefined;

  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
  }

  read(): T | undefined {
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const version = `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    if (version !== this.#version) {
      this.#value = this.#parse(readFileSync(this.#path, 'utf8'));
      this.#version = version;
    }
    return this.#value;
  }
}

const rows = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));
const isNumber = (text: string | undefined): text is string => text !== undefined && /^\d{1,10}$/.test(text);

const parseUsers = (text: string): Map<number, string> => {
  const users = new Map<number, string>();
  for (const [name, , uid] of rows(text)) {
    if (name !== undefined && isNumber(uid) && !users.has(Number(uid))) users.set(Number(uid), name);
  }
  return users;
};

const parseGroups = (text: string): Group[] =>
  rows(text).flatMap(([name, , gid, members = '']) =>
    name !== undefined && isNumber(gid) ? [{ name, gid: Number(gid), members: members.split(',').filter((member) => member !== '') }] : [],
  );
