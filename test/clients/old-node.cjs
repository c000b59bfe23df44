/* What smartdc's commands use of Node and Node has no more; loaded before them. */
const util = require('node:util');

const kinds = {
  isArray: Array.isArray,
  isBoolean: (value) => typeof value === 'boolean',
  isBuffer: Buffer.isBuffer,
  isDate: util.types.isDate,
  isError: (value) => value instanceof Error,
  isFunction: (value) => typeof value === 'function',
  isNull: (value) => value === null,
  isNullOrUndefined: (value) => value === null || value === undefined,
  isNumber: (value) => typeof value === 'number',
  isObject: (value) => typeof value === 'object' && value !== null,
  isPrimitive: (value) => value === null || !['object', 'function'].includes(typeof value),
  isRegExp: util.types.isRegExp,
  isString: (value) => typeof value === 'string',
  isUndefined: (value) => value === undefined,
};
for (const [name, is] of Object.entries(kinds)) util[name] ??= is;
