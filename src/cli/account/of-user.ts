import { value } from '../command.ts';

/** Whose access keys are meant. */
export const ofUser = value('LOGIN', 'of this user of the account, whose roles it has; not of the account itself', { short: 'u' });
