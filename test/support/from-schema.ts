/** Values from a JSON schema: those that fit it, and those that nearly do. */
import fc from 'fast-check';

export interface JsonSchema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  patternProperties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  minItems?: number;
  pattern?: string;
  format?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
}

const hostile = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    '',
    '\0',
    '../../etc/passwd',
    "'; drop table machine; --",
    '\u{1F4A9}',
    '\ud800',
    -1,
    1e308,
    2 ** 53,
    0.5,
    null,
    [],
    {},
    'x'.repeat(5000),
    '$(reboot)',
    'a\nb',
    '%00',
    'constructor',
  ),
);

const textOf = (schema: JsonSchema): fc.Arbitrary<unknown> => {
  if (schema.format === 'uuid') return fc.uuid();
  if (schema.format === 'ipv4') return fc.ipV4();
  if (schema.format === 'ipv6') return fc.ipV6();
  // Text that fits "anything but NUL" is found fastest by leaving NUL out.
  if (schema.pattern !== undefined && !schema.pattern.includes('u0000')) return fc.stringMatching(new RegExp(schema.pattern));
  return fc.string({ minLength: schema.minLength ?? 0, maxLength: Math.min(schema.maxLength ?? 30, 30) }).map((text) => text.replaceAll('\0', ''));
};

const fitting = (schema: JsonSchema): fc.Arbitrary<unknown> => {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(fromSchema));
  switch (schema.type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return fc.array(fromSchema(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 4 });
    case 'string':
      return textOf(schema);
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -1000, max: Math.min(schema.maximum ?? 1_000_000, 2 ** 31) });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case undefined:
    default:
      return fc.jsonValue();
  }
};

const objectOf = ({ properties = {}, patternProperties = {}, required = [] }: JsonSchema): fc.Arbitrary<unknown> => {
  const [pattern] = Object.entries(patternProperties);
  if (pattern !== undefined)
    return fc.dictionary(fc.oneof({ weight: 9, arbitrary: textOf({ pattern: pattern[0] }) as fc.Arbitrary<string> }, fc.string()), fromSchema(pattern[1]), {
      maxKeys: 3,
    });
  const known = fc.record(Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, fromSchema(schema)])), { requiredKeys: required });
  return fc.oneof(
    { weight: 20, arbitrary: known },
    fc.tuple(known, fc.string(), hostile).map(([value, name, extra]) => ({ ...value, [name]: extra })),
  );
};

/** Mostly fits; now and then something else is in its place. */
export const fromSchema = (schema: JsonSchema): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 30, arbitrary: fitting(schema) }, { weight: 1, arbitrary: hostile });
