/** Writes docs/openapi.json anew: `node tools/openapi.ts`. A test compares it with what the server serves. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endpoints } from '../src/control/cloudapi/endpoints/all.ts';
import { openApiDocument } from '../src/control/cloudapi/openapi.ts';

writeFileSync(join(import.meta.dirname, '../docs/openapi.json'), `${JSON.stringify(openApiDocument(endpoints), null, 1)}\n`);
