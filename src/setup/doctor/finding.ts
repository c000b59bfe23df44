/** One thing looked at: `warn` means that something is less or missing, `fail` that machines cannot run. `says` tells what follows. */
export interface Finding {
  name: string;
  status: 'ok' | 'warn' | 'fail';
  says: string;
}

export const ok = (name: string, says: string): Finding => ({ name, status: 'ok', says });
export const warn = (name: string, says: string): Finding => ({ name, status: 'warn', says });
export const fail = (name: string, says: string): Finding => ({ name, status: 'fail', says });
