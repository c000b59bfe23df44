/**
 * How both servers hold requests against their routes' schemas: exactly, without converting, filling in or leaving out anything, and every fault is
 * told. A route's schema is compiled when it is first asked for: most of a process' routes never are, and a server of a hundred is up a tenth of a
 * second sooner. That every schema compiles is for the tests that ask every route.
 */
import { AjvCompiler } from '@fastify/ajv-compiler';
import type { BuildCompilerFromPool } from '@fastify/ajv-compiler';
import type { FastifyServerOptions } from 'fastify';

type Compile = ReturnType<BuildCompilerFromPool>;

const buildValidator = AjvCompiler();

const late =
  (compile: Compile): Compile =>
  (route) => {
    let compiled: ReturnType<Compile> | undefined;
    const validate = (data: unknown) => {
      compiled ??= compile(route);
      const holds = compiled(data);
      validate.errors = compiled.errors;
      return holds;
    };
    validate.errors = undefined as ReturnType<Compile>['errors'];
    return validate as ReturnType<Compile>;
  };

/** Given to `fastify()`. */
export const requestSchemas = {
  ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: true } },
  schemaController: { compilersFactory: { buildValidator: (...pool: Parameters<BuildCompilerFromPool>) => late(buildValidator(...pool)) } },
} satisfies Pick<FastifyServerOptions, 'ajv' | 'schemaController'>;
