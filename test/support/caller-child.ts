/** Calls each route it is given, as whoever it was started as: `caller-child.ts SOCKET ROUTES`; prints status and code of each as JSON. */
import { HttpClient } from '../../src/client/http.ts';
import { upgrade } from '../../src/client/upgrade.ts';

const [socketPath = '', routes = '[]'] = process.argv.slice(2);
using http = new HttpClient({ place: socketPath, peer: 'the control plane' });
const results: { route: string; status: number; code: string | undefined }[] = [];

/** Of an error's body; other answers may be anything. */
const codeOf = (text: string): string | undefined => /^\{"code":"(\w+)"/.exec(text)?.[1];

for (const { method, url } of JSON.parse(routes) as { method: string; url: string }[]) {
  const path = url.replace(':id', 'nosuch').replace(':name', 'nosuch').replace(':version', '1');
  const response = await http.send(method, path, ['POST', 'PUT'].includes(method) ? { json: {} } : {});
  results.push({ route: `${method} ${url}`, status: response.statusCode!, code: codeOf((await Array.fromAsync(response)).join('')) });
}
const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' };
const { response } = await upgrade(http, '/v1/machines/nosuch/exec', headers);
results.push({ route: 'UPGRADE exec', status: response.statusCode!, code: codeOf((await Array.fromAsync(response)).join('')) });
process.stdout.write(JSON.stringify(results));
