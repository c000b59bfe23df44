/** The OpenAPI document of CloudAPI as it is served: made from the endpoints themselves, so that it says what the server does. */
import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import type { Endpoint } from './endpoint.ts';
import { versions } from './version.ts';

export const WireError = Type.Object({
  code: Type.String(),
  message: Type.String(),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), code: Type.Enum(['Missing', 'Invalid', 'Duplicate']), message: Type.String() }))),
});

const description = [
  "CloudAPI, as Cenote serves it. Every request but those marked open is signed with an account's SSH key (draft-cavage HTTP signatures), in a header or in its URL, or comes with a token.",
  'Parameters may stand in the query or in a JSON or form body. `Accept-Version` is a semver range.',
].join(' ');

const json = (schema: TSchema | object) => ({ 'application/json': { schema } });

const pathParameters = (path: string) => [...path.matchAll(/:([a-z]+)/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }));

const queryParameters = ({ parameters }: Endpoint) =>
  Object.entries(parameters.properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: (parameters.required as string[] | undefined)?.includes(name) ?? false,
    schema,
  }));

const bodySchema = ({ parameters, action, prefixes }: Endpoint): object => {
  const required = [...((parameters.required as string[] | undefined) ?? []), ...(action === undefined ? [] : ['action'])];
  return {
    type: 'object',
    properties: { ...(action === undefined ? {} : { action: { const: action } }), ...parameters.properties },
    ...(required.length === 0 ? {} : { required }),
    ...(prefixes.length === 0
      ? { additionalProperties: false }
      : { description: `also any parameter that begins with ${prefixes.map((one) => `"${one}"`).join(' or ')}` }),
  };
};

const operation = (group: readonly Endpoint[]): object => {
  const [first] = group as [Endpoint];
  const statuses = Object.fromEntries(
    group.map(({ status, answer }) => [status, { description: 'done or accepted', ...(answer === null ? {} : { content: json(answer) }) }]),
  );
  const bodies = group.map(bodySchema);
  return {
    operationId: group.map(({ name }) => name).join('Or'),
    ...(first.open ? { security: [] } : {}),
    parameters: [...pathParameters(first.path), ...(first.method === 'GET' ? queryParameters(first) : [])],
    ...(first.method === 'POST' || first.method === 'PUT' ? { requestBody: { content: json(bodies.length === 1 ? bodies[0]! : { oneOf: bodies }) } } : {}),
    responses: { ...statuses, default: { description: 'refused', content: json({ $ref: '#/components/schemas/Error' }) } },
  };
};

export const openApiDocument = (endpoints: readonly Endpoint[]): object => {
  const paths: Record<string, Record<string, object>> = {};
  for (const group of Map.groupBy(endpoints, ({ method, path }) => `${method} ${path}`).values()) {
    const [{ path, method }] = group as [Endpoint];
    const place = path.replaceAll(/:([a-z]+)/g, '{$1}');
    (paths[place] ??= {})[method.toLowerCase()] = operation(group);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'CloudAPI', version: versions[0], description, license: { name: 'MPL-2.0', identifier: 'MPL-2.0' } },
    security: [{ signature: [] }, { token: [] }],
    paths,
    components: {
      schemas: { Error: WireError },
      securitySchemes: {
        signature: { type: 'http', scheme: 'signature', description: 'keyId is /ACCOUNT/keys/FINGERPRINT, the MD5 with colons' },
        token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token', description: 'short-lived; made by POST /v1/accounts/ACCOUNT/tokens' },
      },
    },
  };
};
