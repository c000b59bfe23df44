/** Name rules, in one place for the API, the agent and the command line. */
import { invalid } from '../base/errors.ts';
import { isUuid } from '../base/ids.ts';

/** A DNS label in length; letters, digits, `_ . -`, starting and ending with a letter or digit. */
export const machineNamePattern = '^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?$';
/** Images, packages, platforms: as machines, but lower case, so that they read the same everywhere. */
export const resourceNamePattern = '^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$';
/** A package: its newest version, or with `@VERSION` that one. */
export const packageRefPattern = '^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?(@[1-9][0-9]{0,8})?$';
/** Networks and VLANs: as CloudAPI's clients give them, blanks too. */
export const networkNamePattern = '^[a-zA-Z0-9]([a-zA-Z0-9 _.:/-]{0,62}[a-zA-Z0-9_-])?$';
/** CloudAPI's rule for snapshot names. */
export const snapshotNamePattern = '^[a-zA-Z0-9_.:%-]{1,64}$';
export const environmentNamePattern = '^[a-zA-Z_][a-zA-Z0-9_]{0,255}$';
export const tagNamePattern = '^[a-zA-Z0-9_.-]{1,128}$';
/** What a path can hold and a tool prints on one line. */
export const metadataNamePattern = '^[a-zA-Z0-9_.:@-]{1,256}$';

/** Accounts and their users, as CloudAPI has logins; no `--` at the front, which is where services' own paths are. */
export const accountNamePattern = '^[a-zA-Z][a-zA-Z0-9_.@-]{2,31}$';
/** SSH keys; what a path can hold, and what a comment in a key file is made to fit. */
export const keyNamePattern = '^[a-zA-Z0-9_.@ +-]{1,128}$';

const checked = (pattern: string, what: string, rule: string) => {
  const expression = new RegExp(pattern);
  return (field: string, text: string): string => {
    if (!expression.test(text) || /^\.+$/.test(text)) throw invalid(field, `${JSON.stringify(text.slice(0, 80))} is not a valid ${what}`, rule);
    if (isUuid(text)) throw invalid(field, `a ${what} must not look like an id`);
    return text;
  };
};

const inside = 'at most 63, with _ . - inside';
export const checkMachineName = checked(machineNamePattern, 'machine name', `it has letters and digits, ${inside}`);
export const checkResourceName = checked(resourceNamePattern, 'name', `it has small letters and digits, ${inside}`);
export const checkSnapshotName = checked(snapshotNamePattern, 'snapshot name', 'it has letters, digits and _ . : % -, at most 64');
export const checkAccountName = checked(accountNamePattern, 'account name', 'it begins with a letter and has 3 to 32 letters, digits and _ . @ -');

/** Told apart from other secrets by whoever finds one in a log or a repository. */
export const secretBegin = 'cenote_secret_';
export const secretPattern = /^cenote_secret_[A-Za-z0-9_-]{43}$/;

/** Letters and digits that nobody takes for each other: no I, L, O and U. */
export const accessKeyDigits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
export const accessKeyBegin = 'CNAK';
export const accessKeyPattern = /^CNAK[0-9A-HJKMNP-TV-Z]{16}$/;

/** What holds an access key's secret for a program that is given no file. */
export const secretVariable = 'CENOTE_ACCESS_KEY_SECRET';
