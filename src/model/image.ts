/** Images (app + code with an OCI image configuration) and platforms (the one operating system of the machines). */
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { invalid } from '../base/errors.ts';

const closed = { additionalProperties: false } as const;
const line = (maxLength: number) => Type.String({ maxLength, pattern: '^[^\\u0000]*$' });

/** The `config` object of an OCI image configuration, by its own key names (opencontainers/image-spec, config.md). */
export const ImageConfig = Type.Object(
  {
    Entrypoint: Type.Optional(Type.Array(line(65536), { maxItems: 256 })),
    Cmd: Type.Optional(Type.Array(line(65536), { maxItems: 256 })),
    /** `NAME=value` each. */
    Env: Type.Optional(Type.Array(Type.String({ pattern: '^[a-zA-Z_][a-zA-Z0-9_]*=[^\\u0000]*$', maxLength: 65536 }), { maxItems: 1024 })),
    /** `user`, `uid`, `user:group` or `uid:gid`. */
    User: Type.Optional(Type.String({ pattern: '^([a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63}(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63})?)?$' })),
    WorkingDir: Type.Optional(Type.String({ pattern: '^(/[^\\u0000]*)?$', maxLength: 4096 })),
    /** Keys `80/tcp`, `53/udp`. */
    ExposedPorts: Type.Optional(Type.Record(Type.String({ pattern: '^[0-9]{1,5}(/(tcp|udp))?$' }), Type.Object({}), closed)),
    StopSignal: Type.Optional(Type.String({ pattern: '^(SIG[A-Z0-9+-]{2,12}|[0-9]{1,2})?$' })),
    /** Docker's extension, kept by most builders; times are nanoseconds. */
    Healthcheck: Type.Optional(
      Type.Object(
        {
          /** `["CMD", arg...]`, `["CMD-SHELL", line]` or `["NONE"]`. */
          Test: Type.Array(line(65536), { minItems: 1, maxItems: 256 }),
          Interval: Type.Optional(Type.Integer({ minimum: 0 })),
          Timeout: Type.Optional(Type.Integer({ minimum: 0 })),
          StartPeriod: Type.Optional(Type.Integer({ minimum: 0 })),
          Retries: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000 })),
        },
        closed,
      ),
    ),
    Volumes: Type.Optional(Type.Record(Type.String(), Type.Object({}))),
    /** The label `cenote.no-new-privileges=false` lets set-uid programs work in machines of this image, `cenote.serial-line=true` gives them `/dev/ttyS1`. */
    Labels: Type.Optional(Type.Record(Type.String({ maxLength: 4096 }), line(65536))),
  },
  closed,
);
export type ImageConfig = Static<typeof ImageConfig>;

/** Looked at where an image is made; what was made before stays readable. */
export const checkHealthcheck = (field: string, { Healthcheck: check }: ImageConfig): void => {
  if (check === undefined) return;
  const [kind, ...words] = check.Test;
  const problem =
    kind === 'CMD'
      ? words[0] === undefined || words[0] === ''
        ? 'names no program after "CMD"'
        : null
      : kind === 'CMD-SHELL'
        ? words.length !== 1 || words[0] === ''
          ? 'has one line for the shell after "CMD-SHELL"'
          : null
        : kind === 'NONE'
          ? null
          : `begins with ${JSON.stringify(kind)}`;
  if (problem !== null) throw invalid(`${field}.Healthcheck.Test`, `${problem}; it is ["CMD", PROGRAM, ARGUMENT…], ["CMD-SHELL", LINE] or ["NONE"]`);
};

export const Image = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    name: Type.String(),
    /** `app`: runs on a platform. `system`: carries a userland of its own. */
    kind: Type.Union([Type.Literal('app'), Type.Literal('system')]),
    config: ImageConfig,
    sizeMib: Type.Number(),
    createdAt: Type.String(),
    /** Made by set-up, not by a person; cannot be deleted. */
    builtIn: Type.Boolean(),
  },
  closed,
);
export type Image = Static<typeof Image>;

export const Platform = Type.Object(
  {
    /** `host` is this host's own live /usr; others are built. */
    name: Type.String(),
    /** `live` for `host`; otherwise 1, 2, 3… as built. */
    version: Type.String(),
    /** Debian packages asked for when it was built. */
    include: Type.Array(Type.String()),
    createdAt: Type.String(),
    sizeMib: Type.Number(),
    /** The operating system's own name, from os-release. */
    description: Type.String(),
  },
  closed,
);
export type Platform = Static<typeof Platform>;

export const PlatformRef = Type.Object({ name: Type.String(), version: Type.String() }, closed);
export type PlatformRef = Static<typeof PlatformRef>;
