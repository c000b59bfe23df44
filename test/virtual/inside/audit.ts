/** What of Cenote is on this host: written to a file (`audit.ts FILE`), or, when the file is there, compared with it. Exit code 1: something was left. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { auditHost, compare } from '../../support/audit.ts';
import type { AuditSnapshot } from '../../support/audit.ts';

const file = process.argv[2]!;
const now = await auditHost(['/var/lib/cenote']);
if (existsSync(file)) {
  const left = compare(JSON.parse(readFileSync(file, 'utf8')) as AuditSnapshot, now);
  for (const line of left) process.stdout.write(`${line}\n`);
  process.exitCode = left.length === 0 ? 0 : 1;
} else writeFileSync(file, JSON.stringify(now));
