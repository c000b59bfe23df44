/** Firewall rules as both APIs have them. */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { longestRule } from './parse.ts';

const closed = { additionalProperties: false } as const;
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const id = Type.String({ format: 'uuid' });
const RuleText = Type.String({ minLength: 1, maxLength: longestRule });
const Description = Type.String({ maxLength: 255, pattern: '^[^\\u0000]*$' });

/** What the control plane keeps, and shows. */
export const FirewallRule = Type.Object(
  {
    id: Type.String(),
    /** In canonical form. */
    rule: Type.String(),
    enabled: Type.Boolean(),
    /** What it decides is written to the host's log. */
    log: Type.Boolean(),
    description: nullable(Type.String()),
    /** An operator's rule, about every account's machines. */
    global: Type.Boolean(),
    account: nullable(Type.String()),
    createdAt: Type.String(),
    /** False while the host has not taken it over as it is shown, such as while its agent is away. */
    applied: Type.Boolean(),
  },
  closed,
);
export type FirewallRule = Static<typeof FirewallRule>;

export const CreateFirewallRule = Type.Object(
  {
    rule: RuleText,
    /** Default false, as in CloudAPI. */
    enabled: Type.Optional(Type.Boolean()),
    log: Type.Optional(Type.Boolean()),
    description: Type.Optional(nullable(Description)),
    /** For operators only. */
    global: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type CreateFirewallRule = Static<typeof CreateFirewallRule>;

/** What is left out stays as it is. */
export const UpdateFirewallRule = Type.Object(
  {
    rule: Type.Optional(RuleText),
    enabled: Type.Optional(Type.Boolean()),
    log: Type.Optional(Type.Boolean()),
    description: Type.Optional(nullable(Description)),
  },
  closed,
);
export type UpdateFirewallRule = Static<typeof UpdateFirewallRule>;

const Judgement = Type.Object(
  {
    /** Where: at the sender (`out`) or at the receiver (`in`). */
    direction: Type.Union([Type.Literal('in'), Type.Literal('out')]),
    machine: Type.Object({ id: Type.String(), name: Type.String() }, closed),
    action: Type.Union([Type.Literal('allow'), Type.Literal('block')]),
    /** The rule that decided; null: the default. */
    rule: nullable(Type.Object({ id: Type.String(), rule: Type.String() }, closed)),
  },
  closed,
);

/** What becomes of a packet that begins a flow. */
export const FirewallVerdict = Type.Object({ allowed: Type.Boolean(), judgements: Type.Array(Judgement) }, closed);
export type FirewallVerdict = Static<typeof FirewallVerdict>;

/** An enabled rule, as the agent is told. */
export const AppliedRule = Type.Object({ id, account: nullable(Type.String({ minLength: 1, maxLength: 64 })), rule: RuleText, log: Type.Boolean() }, closed);
export type AppliedRule = Static<typeof AppliedRule>;

export interface AppliedFirewall {
  /** Of this state; another one follows from every change, and every start of the agent. */
  revision: number;
  rules: AppliedRule[];
}

/** As many in one change, so that a request stays within its bounds. */
export const rulesPerChange = 400;

export const FirewallChange = Type.Object(
  {
    /** The revision that this changes; of any other it is refused with `stale_generation`. */
    after: Type.Integer({ minimum: 0 }),
    put: Type.Array(AppliedRule, { maxItems: rulesPerChange }),
    remove: Type.Array(id, { maxItems: rulesPerChange }),
  },
  closed,
);
export type FirewallChange = Static<typeof FirewallChange>;
