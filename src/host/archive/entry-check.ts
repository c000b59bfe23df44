/**
 * What an archive may hold, judged entry by entry as it streams by: plain relative names, files, directories, links, ids of a
 * machine, within limits. What passes is given back in one normal form. The unpacking process is confined besides; this is
 * where a person learns in one line, with the entry's name, why an archive was refused.
 */
import { CenoteError, invalid } from '../../base/errors.ts';
import { formatMib, mibOfBytes } from '../../base/units.ts';
import type { ArchiveLimits } from './archive.ts';
import type { RawHeader } from './tar-format.ts';
import type { TarEntry } from './tar-reader.ts';

export interface CheckedEntry {
  header: RawHeader;
  extendedAttributes: ReadonlyMap<string, Buffer>;
}

/** Refuses names beyond the common rules; gets the name without a leading slash, and the type flag. */
export type NameRule = (name: string, flag: string) => void;

const largestId = 65_535;
const largestTime = 0o77777777777;
const typeNames: Record<string, string> = {
  '3': 'a character device',
  '4': 'a block device',
  '6': 'a named pipe',
  S: 'a sparse file',
  M: 'a part of a multi-volume archive',
  V: 'a volume label',
  D: 'an incremental dump',
  X: 'an old pax header',
};

/** For messages: a name from outside, short and without control characters. */
export const shown = (name: Buffer | string): string => JSON.stringify(name.toString('utf8').slice(0, 120));

const refuse = (name: Buffer | string, why: string) => invalid('archive', `entry ${shown(name)} ${why}`);

/** `./a//b/` -> `a/b`, as bytes; an empty result is the directory unpacked into. */
export const normalName = (raw: Buffer): Buffer => {
  const text = raw.toString('latin1');
  if (text === '') throw refuse(raw, 'has an empty name');
  if (text.startsWith('/')) throw refuse(raw, 'has an absolute name');
  if (text.includes('\0')) throw refuse(raw, 'has a zero byte in its name');
  const parts = text.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refuse(raw, 'has ".." in its name');
  if (parts.some((part) => part.length > 255)) throw refuse(raw, 'has a name longer than 255 bytes');
  const name = parts.join('/');
  if (name.length > 3800) throw refuse(raw, 'has a path longer than 3800 bytes');
  return Buffer.from(name, 'latin1');
};

export class EntryChecker {
  readonly #limits: ArchiveLimits;
  readonly #nameRule: NameRule | undefined;
  /** Files seen, for hard links; the reader limits the bytes of all names. */
  readonly #files = new Set<string>();
  entries = 0;
  bytes = 0;

  constructor(limits: ArchiveLimits, nameRule?: NameRule) {
    this.#limits = limits;
    this.#nameRule = nameRule;
  }

  /** The entry in normal form; null for the unpacked-into directory itself, whose mode and owner are not the archive's to change. */
  check({ header: raw, records }: TarEntry): CheckedEntry | null {
    this.#count(raw);
    let flag = raw.flag === '7' ? '0' : raw.flag;
    if (flag === '0' && raw.name.at(-1) === 0x2f) flag = '5';
    if (!'0125'.includes(flag)) throw refuse(raw.name, `is ${typeNames[flag] ?? `of the unknown type ${shown(flag)}`}, which is not accepted`);
    const name = normalName(raw.name);
    if (name.length === 0) {
      if (flag !== '5') throw refuse(raw.name, 'names the directory itself but is not a directory');
      return null;
    }
    const key = name.toString('latin1');
    this.#nameRule?.(key, flag);
    for (const id of ['uid', 'gid'] as const) {
      if (raw[id] > largestId) throw refuse(raw.name, `has ${id} ${raw[id]}; the ids of a machine are 0 to ${largestId}`);
    }
    const link = flag === '1' ? this.#hardLink(raw) : flag === '2' ? symbolicLink(raw) : Buffer.alloc(0);
    if (flag === '0' || flag === '1') this.#files.add(key);
    else this.#files.delete(key);
    const extendedAttributes = flag === '0' || flag === '5' ? attributesOf(raw, records) : new Map<string, Buffer>();
    checkRecords(raw, records);
    return {
      header: {
        name,
        link,
        flag,
        mode: raw.mode & 0o7777,
        uid: raw.uid,
        gid: raw.gid,
        size: flag === '0' ? raw.size : 0,
        mtime: Math.min(raw.mtime, largestTime),
      },
      extendedAttributes,
    };
  }

  #count(raw: RawHeader): void {
    this.entries += 1;
    this.bytes += raw.size;
    if (this.entries > this.#limits.maxEntries)
      throw new CenoteError('not_enough', `archive: has more than ${this.#limits.maxEntries} entries, the most that is accepted`);
    if (this.bytes > this.#limits.maxBytes)
      throw new CenoteError(
        'not_enough',
        `archive: holds more than ${formatMib(mibOfBytes(this.#limits.maxBytes))} unpacked, the most that is accepted here (at entry ${shown(raw.name)})`,
      );
  }

  #hardLink(raw: RawHeader): Buffer {
    if (raw.link.length === 0 || raw.link[0] === 0x2f || raw.link.toString('latin1').split('/').includes('..')) {
      throw refuse(raw.name, `is a hard link to ${shown(raw.link)}, outside the archive`);
    }
    const target = normalName(raw.link);
    if (!this.#files.has(target.toString('latin1'))) throw refuse(raw.name, `is a hard link to ${shown(raw.link)}, which is no earlier file of the archive`);
    return target;
  }
}

const symbolicLink = (raw: RawHeader): Buffer => {
  if (raw.link.length === 0 || raw.link.length > 4095) throw refuse(raw.name, 'is a symbolic link whose target is empty or too long');
  if (raw.link.includes(0)) throw refuse(raw.name, 'has a zero byte in its link target');
  return raw.link;
};

const attributesOf = (raw: RawHeader, records: ReadonlyMap<string, Buffer>): Map<string, Buffer> => {
  const found = new Map<string, Buffer>();
  for (const [key, value] of records) {
    const [, dialect, encoded] = /^(SCHILY|LIBARCHIVE)\.xattr\.(.*)$/s.exec(key) ?? [];
    if (dialect === undefined || encoded === undefined) continue;
    const name = dialect === 'SCHILY' ? encoded : decoded(raw, encoded);
    // oxlint-disable-next-line no-control-regex -- a name with a control character is what this refuses
    if (((!name.startsWith('user.') || name.startsWith('user.overlay.')) && name !== 'security.capability') || /[\0-\x1f=]/.test(name) || name.length > 255) {
      throw refuse(raw.name, `has the extended attribute ${shown(name)}; accepted are user.* and security.capability`);
    }
    found.set(name, dialect === 'SCHILY' ? value : Buffer.from(value.toString('latin1'), 'base64'));
  }
  return found;
};

const decoded = (raw: RawHeader, text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse(raw.name, 'has an extended attribute whose name is damaged');
  }
};

/** Records that change what an entry is, and that are not passed on: refused rather than dropped. */
const checkRecords = (raw: RawHeader, records: ReadonlyMap<string, Buffer>): void => {
  for (const key of records.keys()) {
    if (key.startsWith('GNU.sparse.') || key === 'SCHILY.realsize') throw refuse(raw.name, 'is a sparse file, which is not accepted; pack it without --sparse');
    if (key.startsWith('SCHILY.acl.')) throw refuse(raw.name, 'has an access control list, which is not accepted; pack it without --acls');
  }
};
