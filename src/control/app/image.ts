/** Images and platforms: the host has them; the control plane resolves names and keeps what is in use. */
import type { Readable } from 'node:stream';
import { CenoteError } from '../../base/errors.ts';
import { newImageId } from '../../base/ids.ts';
import { platformKey } from '../../model/agent-api.ts';
import type { CreateImage } from '../../model/control-api.ts';
import { checkHealthcheck } from '../../model/image.ts';
import type { Image } from '../../model/image.ts';
import { checkResourceName } from '../../model/names.ts';
import { checkSignal } from '../../model/signal.ts';
import { authorize } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { machineNamesUsing } from '../../store/machine.ts';
import type { Control } from '../control.ts';
import { configOf } from '../jobs/image-content.ts';
import { machineMade } from './made.ts';

export const checkImageRequest = ({ name, config }: CreateImage): void => {
  checkResourceName('name', name);
  checkSignal('request.config.StopSignal', config?.StopSignal ?? '');
  checkHealthcheck('request.config', config ?? {});
};

export const imageCreate = async (
  control: Control,
  context: RequestContext,
  asked: CreateImage,
  content: Readable | undefined,
  signal: AbortSignal,
): Promise<Image> => {
  authorize(context, 'operate');
  const { catalog, agent, store } = control;
  checkImageRequest(asked);
  if ((await catalog.images()).some((image) => image.name === asked.name)) {
    const message = `there is already an image named ${JSON.stringify(asked.name)}`;
    throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
  }
  const source = asked.fromMachine === undefined ? undefined : await machineMade(context, store.db, asked.fromMachine);
  const kind = asked.kind ?? (source?.spec.platform === null ? 'system' : 'app');
  const config = { ...(source === undefined ? {} : configOf(source.spec)), ...asked.config };
  const request = { id: newImageId(), name: asked.name, kind, config, ...(source === undefined ? {} : { fromMachine: source.machine.id }) };
  try {
    return await agent.imageCreate(request, source === undefined ? content : undefined, { signal });
  } finally {
    catalog.invalidate();
  }
};

export const imageDelete = async (control: Control, context: RequestContext, idOrName: string): Promise<void> => {
  authorize(context, 'operate');
  const image = await control.catalog.image(idOrName);
  if (image.builtIn) throw new CenoteError('in_use', `image ${JSON.stringify(image.name)} is built in and stays`);
  refuseUsed(`image ${JSON.stringify(image.name)}`, await machineNamesUsing(context, control.store.db, 'image', image.id));
  try {
    await control.agent.imageDelete(image.id);
  } finally {
    control.catalog.invalidate();
  }
};

export const platformDelete = async (control: Control, context: RequestContext, name: string, version: string): Promise<void> => {
  authorize(context, 'operate');
  const key = platformKey({ name, version });
  if (!(await control.catalog.platforms()).some((platform) => platformKey(platform) === key)) {
    throw new CenoteError('not_found', `there is no platform ${JSON.stringify(key.slice(0, 80))}`);
  }
  refuseUsed(`platform ${key}`, await machineNamesUsing(context, control.store.db, 'platform', key));
  try {
    await control.agent.platformDelete(name, version);
  } finally {
    control.catalog.invalidate();
  }
};

const refuseUsed = (what: string, names: string[]): void => {
  if (names.length === 0) return;
  const some = names
    .slice(0, 3)
    .map((name) => JSON.stringify(name))
    .join(', ');
  throw new CenoteError('in_use', `${what} is used by ${some}${names.length > 3 ? ' and others' : ''}`);
};
