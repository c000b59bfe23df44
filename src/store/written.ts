/**
 * Counts how often what says who may do what was written, so that who has read it knows whether it may have changed since. A number that was
 * taken before a read and is still the same after it says that nothing was committed in between.
 */
import type { KyselyPlugin, OperationNode, PluginTransformQueryArgs, PluginTransformResultArgs, QueryResult, RootOperationNode, UnknownRow } from 'kysely';
import { DeleteQueryNode, InsertQueryNode, TableNode, UpdateQueryNode } from 'kysely';
import type { Schema } from './schema.ts';

/** Whatever else is deleted with a row of these is of these too. */
const ofAccess: ReadonlySet<string> = new Set([
  'account',
  'account_key',
  'account_user',
  'user_key',
  'access_token',
  'access_key',
  'access_policy',
  'access_role',
  'role_policy',
  'role_member',
  'role_tag',
] satisfies (keyof Schema)[]);

export class Written implements KyselyPlugin {
  #accessVersion = 0;
  #pending = false;
  /** Called after each of them. */
  onAccess: () => void = () => undefined;

  get accessVersion(): number {
    return this.#accessVersion;
  }

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    const table = writtenBy(node);
    if (table !== undefined && ofAccess.has(table)) this.#pending = true;
    return node;
  }

  transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    return Promise.resolve(result);
  }

  /** A transaction has ended, one way or the other: one whose end is not known may have been committed. */
  ended(): void {
    if (!this.#pending) return;
    this.#pending = false;
    this.#accessVersion += 1;
    this.onAccess();
  }

  /** Everything is another. */
  replaced(): void {
    this.#accessVersion += 1;
  }
}

const writtenBy = (node: RootOperationNode): string | undefined => {
  if (InsertQueryNode.is(node)) return nameOf(node.into);
  if (UpdateQueryNode.is(node)) return nameOf(node.table);
  return DeleteQueryNode.is(node) ? nameOf(node.from.froms[0]) : undefined;
};

const nameOf = (table: OperationNode | undefined): string | undefined => (table !== undefined && TableNode.is(table) ? table.table.identifier.name : undefined);
