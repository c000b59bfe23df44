/** The users and groups every Debian has (base-passwd's list), all locked; the host's own are not a machine's business. */

const users: readonly [name: string, uid: number, gid: number, home: string, shell?: string][] = [
  ['root', 0, 0, '/root', '/bin/bash'],
  ['daemon', 1, 1, '/usr/sbin'],
  ['bin', 2, 2, '/bin'],
  ['sys', 3, 3, '/dev'],
  ['sync', 4, 65534, '/bin', '/bin/sync'],
  ['games', 5, 60, '/usr/games'],
  ['man', 6, 12, '/var/cache/man'],
  ['lp', 7, 7, '/var/spool/lpd'],
  ['mail', 8, 8, '/var/mail'],
  ['news', 9, 9, '/var/spool/news'],
  ['uucp', 10, 10, '/var/spool/uucp'],
  ['proxy', 13, 13, '/bin'],
  ['www-data', 33, 33, '/var/www'],
  ['backup', 34, 34, '/var/backups'],
  ['list', 38, 38, '/var/list'],
  ['irc', 39, 39, '/run/ircd'],
  ['_apt', 42, 65534, '/nonexistent'],
  ['nobody', 65534, 65534, '/nonexistent'],
];

const groups: readonly [name: string, gid: number][] = [
  ['root', 0], ['daemon', 1], ['bin', 2], ['sys', 3], ['adm', 4], ['tty', 5], ['disk', 6], ['lp', 7], ['mail', 8], ['news', 9],
  ['uucp', 10], ['man', 12], ['proxy', 13], ['kmem', 15], ['dialout', 20], ['fax', 21], ['voice', 22], ['cdrom', 24], ['floppy', 25],
  ['tape', 26], ['sudo', 27], ['audio', 29], ['dip', 30], ['www-data', 33], ['backup', 34], ['operator', 37], ['list', 38], ['irc', 39],
  ['src', 40], ['shadow', 42], ['utmp', 43], ['video', 44], ['sasl', 45], ['plugdev', 46], ['staff', 50], ['games', 60], ['users', 100], ['nogroup', 65534],
]; // prettier-ignore

const lines = (rows: readonly string[]): string => `${rows.join('\n')}\n`;

/** Days since 1970 of the last change: any past day; zero would mean "must be changed now". */
const changed = 19_723;

export const passwd = lines(users.map(([name, uid, gid, home, shell]) => `${name}:x:${uid}:${gid}:${name}:${home}:${shell ?? '/usr/sbin/nologin'}`));
export const shadow = lines(users.map(([name]) => `${name}:*:${changed}:0:99999:7:::`));
export const group = lines(groups.map(([name, gid]) => `${name}:x:${gid}:`));
export const gshadow = lines(groups.map(([name]) => `${name}:*::`));
