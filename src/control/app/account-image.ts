/** Images that accounts make of their machines, and who may use them. The operator's images are everyone's. */
import { CenoteError, messageChain } from '../../base/errors.ts';
import { newImageId } from '../../base/ids.ts';
import type { Image } from '../../model/image.ts';
import { systemContext as system } from '../../store/context.ts';
import type { RequestContext } from '../../store/context.ts';
import { ownedImageDelete, ownedImageGet, ownedImageInsert, ownedImageList, ownedImageSave } from '../../store/image.ts';
import type { ImageAbout, OwnedImage } from '../../store/image.ts';
import { machineNamesUsing } from '../../store/machine.ts';
import type { Control } from '../control.ts';
import { configOf } from './image.ts';
import { machineMade } from './made.ts';

export interface VisibleImage {
  id: string;
  /** What the host has of it; undefined while it is made, and where that failed. */
  content: Image | undefined;
  /** Undefined for the operator's. */
  owned: OwnedImage | undefined;
  state: 'active' | 'creating' | 'failed';
  /** Of another account, which lets this one use it. */
  shared: boolean;
}

const mostImages = 100;
/** One that is not there after so long is not being made any more: whoever made it has died. */
const longestMakingMs = 3600_000;

const stateOf = (content: Image | undefined, owned: OwnedImage): VisibleImage['state'] => {
  if (content !== undefined) return 'active';
  return owned.error === null && Date.now() - Date.parse(owned.createdAt) < longestMakingMs ? 'creating' : 'failed';
};

/** All that the caller's account may know of. */
export const visibleImages = async ({ store, catalog }: Control, context: RequestContext): Promise<VisibleImage[]> => {
  const contents = await catalog.images();
  const owned = await ownedImageList(system, store.db);
  const byId = new Map(owned.map((image) => [image.id, image]));
  const operators = contents
    .filter(({ id }) => !byId.has(id))
    .map((content) => ({ id: content.id, content, owned: undefined, state: 'active' as const, shared: false }));
  const accounts = owned
    .filter(({ account, about }) => account === context.account || about.acl.includes(context.account))
    .map((image) => {
      const content = contents.find(({ id }) => id === image.id);
      return { id: image.id, content, owned: image, state: stateOf(content, image), shared: image.account !== context.account };
    });
  return [...operators, ...accounts.filter(({ shared, state }) => !shared || state === 'active')];
};

export const visibleImage = async (control: Control, context: RequestContext, id: string): Promise<VisibleImage> => {
  const found = (await visibleImages(control, context)).find((image) => image.id === id);
  if (found === undefined) throw new CenoteError('not_found', 'there is no such image');
  return found;
};

export interface ImageAsked {
  machine: string;
  name: string;
  version: string;
  about: ImageAbout;
}

/** Answers when it is on record; made is it then, while the answer is on its way. */
export const accountImageCreate = async (control: Control, context: RequestContext, asked: ImageAsked): Promise<VisibleImage> => {
  const { store } = control;
  const source = await machineMade(context, store.db, asked.machine);
  const { name, version, about } = asked;
  const image: OwnedImage = { id: newImageId(), account: context.account, name, version, about, error: null, createdAt: new Date().toISOString() };
  await store.transaction(async (db) => {
    const own = (await ownedImageList(system, db)).filter(({ account }) => account === context.account);
    if (own.length >= mostImages) throw new CenoteError('over_quota', `there are ${own.length} images of yours already, and may be ${mostImages}`);
    if (own.some((one) => one.name === name && one.version === version && one.error === null)) {
      const message = `there is already an image ${name}@${version} of yours`;
      throw new CenoteError('already_exists', message, { fields: [{ field: 'name', message }] });
    }
    await ownedImageInsert(context, db, image);
  });
  const kind = source.spec.platform === null ? 'system' : 'app';
  const request = { id: image.id, name: `i-${image.id}`, kind, config: configOf(source.spec), fromMachine: source.machine.id } as const;
  void control.agent
    .imageCreate(request, undefined)
    .catch(async (error: unknown) => {
      control.logger.warn({ image: image.id, error: messageChain(error) }, 'image could not be made');
      const reason = error instanceof CenoteError ? error.message : 'internal error';
      await store.transaction((db) => ownedImageSave(system, db, { ...image, error: reason }));
    })
    .catch((error: unknown) => control.logger.error({ image: image.id, error: messageChain(error) }, 'a failed image could not be recorded'))
    .finally(() => control.catalog.invalidate());
  return { id: image.id, content: undefined, owned: image, state: 'creating', shared: false };
};

export const accountImageUpdate = (control: Control, context: RequestContext, id: string, change: (image: OwnedImage) => OwnedImage): Promise<OwnedImage> =>
  control.store.transaction(async (db) => {
    const changed = change(await ownedImageGet(context, db, id));
    await ownedImageSave(context, db, changed);
    return changed;
  });

/** Names of machines are not told: they may be others'. */
export const accountImageDelete = async (control: Control, context: RequestContext, id: string): Promise<void> => {
  await ownedImageGet(context, control.store.db, id);
  if ((await machineNamesUsing(context, control.store.db, 'image', id)).length > 0) throw new CenoteError('in_use', 'there are instances made of this image');
  try {
    await control.agent.imageDelete(id);
  } catch (error) {
    if (!(error instanceof CenoteError) || error.code !== 'not_found') throw error;
  } finally {
    control.catalog.invalidate();
  }
  await control.store.transaction((db) => ownedImageDelete(context, db, id));
};
