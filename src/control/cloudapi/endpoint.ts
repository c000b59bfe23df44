/**
 * What an endpoint is: method, path, what it takes, what it answers and the function that does it. One such description serves routing,
 * validation, authorisation, the OpenAPI document and the tests that go through all of it.
 */
import type { IncomingMessage } from 'node:http';
import type { Static, TObject, TSchema } from 'typebox';
import type { Account } from '../../model/account.ts';
import type { RequestContext } from '../../store/context.ts';
import type { Control } from '../control.ts';
import type { AccessBook } from './access/book.ts';
import type { ApiVersion } from './version.ts';
import type { MachineTexts } from './wire/machine-texts.ts';

/** What the edge knows besides the control plane's parts. */
export interface Edge {
  control: Control;
  datacenter: string;
  access: AccessBook;
  texts: MachineTexts;
}

export interface Call<Parameters = unknown> extends Edge {
  /** Who calls, and for which account. */
  context: RequestContext;
  account: Account;
  /** Machines that a list is to show; undefined for all. */
  visible: ReadonlySet<string> | undefined;
  /** The names in the path. */
  path: Readonly<Record<string, string>>;
  parameters: Parameters;
  /** The body alone, where its names are the client's own. */
  body: Readonly<Record<string, unknown>>;
  /** Of parameters such as `tag.role`, what comes after the dot and the value. */
  named: (prefix: string) => [name: string, value: unknown][];
  version: ApiVersion;
  /** How the client reached us: `https://host:port`. */
  url: string;
  request: IncomingMessage;
}

export interface Answer {
  status?: number;
  body?: unknown;
  /** JSON text in place of `body`, where it is there already. */
  text?: string;
  headers?: Record<string, string>;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface Endpoint {
  /** As CloudAPI's documentation calls it, and, in small letters, as policies do. */
  name: string;
  method: Method;
  /** `/:account/machines/:machine` */
  path: string;
  /** Several may share a method and a path: the parameter `action` chooses. */
  action?: string;
  parameters: TObject;
  /** Beginnings of further parameters that are taken: `tag.`; an empty one is any. */
  prefixes: readonly string[];
  status: number;
  /** Null is an empty body. */
  answer: TSchema | null;
  /** Anybody may ask. */
  open: boolean;
  handle: (call: Call<never>) => Promise<Answer> | Answer;
}

interface Definition<Parameters extends TObject> {
  name: string;
  method: Method;
  path: string;
  action?: string;
  parameters: Parameters;
  prefixes?: readonly string[];
  status?: number;
  answer: TSchema | null;
  open?: boolean;
  handle: (call: Call<Static<Parameters>>) => Promise<Answer> | Answer;
}

const usual: Readonly<Record<Method, number>> = { GET: 200, POST: 200, PUT: 200, DELETE: 204 };

export const endpoint = <Parameters extends TObject>(definition: Definition<Parameters>): Endpoint => ({
  prefixes: [],
  open: false,
  ...definition,
  status: definition.status ?? usual[definition.method],
});
