import type { ChildProcess } from 'node:child_process';

/** What a child says first, once it is ready. One that ends before rejects, with what it said of it where that is a pipe. */
export const firstWord = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let complaint = '';
    child.stderr?.on('data', (data: Buffer) => {
      complaint += String(data);
      process.stderr.write(data);
    });
    child.stdout!.once('data', (data: Buffer) => resolve(String(data)));
    child.once('error', reject);
    // Not at 'exit': what it wrote may be heard after that.
    child.once('close', (code, signal) => reject(new Error(`${child.spawnfile} ended (${signal ?? code}) before it was ready: ${complaint.trim()}`)));
  });
