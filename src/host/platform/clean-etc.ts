/** The part of a machine's /etc that is the same on every host: written by us, with the values of a fresh Debian. */
import { group, gshadow, passwd, shadow } from './standard-accounts.ts';
import { directory, file, link } from './template-entry.ts';
import type { TemplateEntry } from './template-entry.ts';

const text = (...lines: string[]): string => `${lines.join('\n')}\n`;
const shadowGroup = 42;

const profile = text(
  '# System-wide settings of login shells.',
  'if [ "$(id -u)" -eq 0 ]; then',
  '  PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"',
  'else',
  '  PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}"',
  'fi',
  'export PATH',
  'if [ "${PS1-}" ]; then',
  '  if [ "${BASH-}" ] && [ "$BASH" != "/bin/sh" ]; then',
  '    if [ -f /etc/bash.bashrc ]; then . /etc/bash.bashrc; fi',
  '  elif [ "$(id -u)" -eq 0 ]; then',
  "    PS1='# '",
  '  else',
  "    PS1='$ '",
  '  fi',
  'fi',
  'for i in /etc/profile.d/*.sh; do if [ -r "$i" ]; then . "$i"; fi; done',
  'unset i',
);

const bashrc = text('# System-wide settings of interactive bash shells.', '[ -z "${PS1-}" ] && return', 'shopt -s checkwinsize', "PS1='\\u@\\h:\\w\\$ '");

const userBashrc = text(
  '# Settings of interactive bash shells.',
  'case $- in *i*) ;; *) return ;; esac',
  'HISTCONTROL=ignoreboth',
  'shopt -s histappend',
  "alias ls='ls --color=auto'",
  "alias ll='ls -l'",
);
const userProfile = text('# Settings of login shells.', 'if [ -n "${BASH_VERSION-}" ] && [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi');

const loginDefs = text(
  'MAIL_DIR /var/mail',
  'FAILLOG_ENAB yes',
  'LOG_UNKFAIL_ENAB no',
  'SYSLOG_SU_ENAB yes',
  'SYSLOG_SG_ENAB yes',
  'ENV_SUPATH PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  'ENV_PATH PATH=/usr/local/bin:/usr/bin:/bin',
  'TTYGROUP tty',
  'TTYPERM 0600',
  'UMASK 022',
  'HOME_MODE 0755',
  'PASS_MAX_DAYS 99999',
  'PASS_MIN_DAYS 0',
  'PASS_WARN_AGE 7',
  'UID_MIN 1000',
  'UID_MAX 60000',
  'SYS_UID_MIN 100',
  'SYS_UID_MAX 999',
  'GID_MIN 1000',
  'GID_MAX 60000',
  'SYS_GID_MIN 100',
  'SYS_GID_MAX 999',
  'DEFAULT_HOME yes',
  'USERGROUPS_ENAB yes',
  'ENCRYPT_METHOD YESCRYPT',
);

const nsswitch = text(
  'passwd: files',
  'group: files',
  'shadow: files',
  'gshadow: files',
  '',
  'hosts: files dns',
  'networks: files',
  '',
  'protocols: files',
  'services: files',
  'ethers: files',
  'rpc: files',
);

/** Enough for su, runuser and passwd to work for root and for users with a password. */
const pam = {
  'common-auth': text('auth required pam_unix.so nullok'),
  'common-account': text('account required pam_unix.so'),
  'common-password': text('password required pam_unix.so obscure yescrypt'),
  'common-session': text('session required pam_unix.so'),
  'common-session-noninteractive': text('session required pam_unix.so'),
  other: text('@include common-auth', '@include common-account', '@include common-password', '@include common-session'),
  passwd: text('@include common-password'),
  chpasswd: text('@include common-password'),
  chfn: text('auth sufficient pam_rootok.so', '@include common-auth', '@include common-account', '@include common-session'),
  chsh: text('auth sufficient pam_rootok.so', '@include common-auth', '@include common-account', '@include common-session'),
  su: text('auth sufficient pam_rootok.so', '@include common-auth', '@include common-account', '@include common-session'),
  'su-l': text('@include su'),
  runuser: text('auth sufficient pam_rootok.so', 'session required pam_unix.so'),
  'runuser-l': text('@include runuser'),
};

const openssl = text(
  'openssl_conf = openssl_init',
  '',
  '[openssl_init]',
  '',
  '[req]',
  'default_bits = 2048',
  'distinguished_name = req_distinguished_name',
  '',
  '[req_distinguished_name]',
  'commonName = Common Name',
);

export const hostsFile = text('127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback');

export const cleanEtc: readonly TemplateEntry[] = [
  directory('etc'),
  ...['alternatives', 'default', 'ld.so.conf.d', 'opt', 'pam.d', 'profile.d', 'security', 'skel', 'ssl', 'ssl/certs'].map((name) => directory(`etc/${name}`)),
  directory('etc/ssl/private', 0o700),
  file('etc/passwd', passwd),
  file('etc/group', group),
  file('etc/shadow', shadow, 0o640, shadowGroup),
  file('etc/gshadow', gshadow, 0o640, shadowGroup),
  file('etc/nsswitch.conf', nsswitch),
  file('etc/hosts', hostsFile),
  file('etc/host.conf', text('multi on')),
  // The runtime puts the machine's own over these; they are here so that there is something to put it over.
  ...['hostname', 'resolv.conf', 'fstab', 'environment', 'subuid', 'subgid'].map((name) => file(`etc/${name}`, '')),
  file('etc/machine-id', '', 0o444),
  file('etc/profile', profile),
  file('etc/bash.bashrc', bashrc),
  file('etc/login.defs', loginDefs),
  file('etc/shells', text('/bin/sh', '/usr/bin/sh', '/bin/bash', '/usr/bin/bash', '/bin/dash', '/usr/bin/dash')),
  file('etc/timezone', text('Etc/UTC')),
  file('etc/networks', text('loopback 127.0.0.0')),
  file('etc/ssl/openssl.cnf', openssl),
  link('etc/localtime', '/usr/share/zoneinfo/Etc/UTC'),
  link('etc/mtab', '../proc/self/mounts'),
  link('etc/os-release', '../usr/lib/os-release'),
  ...Object.entries(pam).map(([name, content]) => file(`etc/pam.d/${name}`, content)),
  file('etc/security/limits.conf', ''),
  file('etc/security/pam_env.conf', ''),
  file('etc/skel/.bashrc', userBashrc),
  file('etc/skel/.profile', userProfile),
];

export const rootHome: readonly TemplateEntry[] = [directory('root', 0o700), file('root/.bashrc', userBashrc), file('root/.profile', userProfile)];
